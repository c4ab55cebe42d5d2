"""What pixels and crops say about a query and a candidate pin."""

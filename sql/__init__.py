"""Tables, migrations, views and bulk movement of rows: the contract between the three teams."""

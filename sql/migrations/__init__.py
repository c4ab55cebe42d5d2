"""Migrations: one file per change of the schema under versions/, run by Alembic."""

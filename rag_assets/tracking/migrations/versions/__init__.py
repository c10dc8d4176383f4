"""One file for each version of the tables. Loaded by Alembic."""

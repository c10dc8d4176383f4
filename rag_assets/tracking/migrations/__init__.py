"""Migrations of the tables, for Alembic: one file for each version, never changed after its release."""

"""Everything that imports Dagster. `definitions.py` wires these by hand; nothing here is autoloaded."""

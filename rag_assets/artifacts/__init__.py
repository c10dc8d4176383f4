"""Artifacts: Parquet files with the data between assets, and the record of the last failure."""

"""Parquet files that carry data from one asset to the next, and the record of the last failure."""

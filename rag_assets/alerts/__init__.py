"""What alerts say. Without Dagster: the command line and the sensors both use it."""

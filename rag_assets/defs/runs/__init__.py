"""Runs of Dagster as `rag-assets refresh` and the alerts see them: their record, their log, their alerts, and one run itself."""

"""Retrieval quality: benchmark, metrics, report and gate."""

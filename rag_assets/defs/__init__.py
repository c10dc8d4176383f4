"""Dagster assets, checks, jobs, schedules, sensors and resources. Nothing below this folder imports Dagster.

`definitions.py` lists every definition by hand. By default `dg` loads and scaffolds into a folder of this name, so
pyproject.toml gives it `rag_assets/scaffolded/` instead.
"""

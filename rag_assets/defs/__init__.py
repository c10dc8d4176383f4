"""Dagster assets, checks, jobs, schedules, sensors and resources. Nothing below this folder imports Dagster.

`definitions.py` lists every definition by hand. `dg` would load and scaffold into a folder of this name by default;
pyproject.toml gives it `rag_assets/scaffolded/` instead.
"""

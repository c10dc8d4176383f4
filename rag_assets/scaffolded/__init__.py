"""Target folder of `dg scaffold defs`. Stays empty: `definitions.py` loads nothing from here.

Move a scaffolded file to its place in `rag_assets/defs/` and add it to `definitions.py`.
"""

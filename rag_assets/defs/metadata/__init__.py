"""Counts, tables and small pictures for the Dagster UI, one module per subject.

Every quantity has one name everywhere. Nothing here contains document text or secrets. Values are tables, and bars made of
text inside them: Dagster shows a table at once wherever it shows metadata, and Markdown only behind a link. Long
tables are cut and say so. The artifact holds all rows.
"""

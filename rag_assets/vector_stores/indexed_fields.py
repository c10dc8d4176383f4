"""The payload fields with an index in every store. `filters.py` and the two stores read their kinds here.

A generation gets the index of a new field when it is built.
"""

KEYWORD_FIELDS = ("content_hash", "embedding_model", "flags", "heading_path", "refresh_id")
"""Payload fields of a point, filtered as keywords."""
INTEGER_FIELDS = ("chunk_index", "total_chunks", "token_count")
"""Payload fields of a point, filtered as integers."""
DATETIME_FIELDS = ("indexed_at",)
"""Payload fields of a point, filtered as dates."""
LOCATION_KEYWORD_FIELDS = ("document_id", "source", "source_uri", "path", "filename", "title", "access")
"""Fields of `locations[]`, filtered as keywords, by prefix too."""
LOCATION_DATETIME_FIELDS = ("modified_at",)
"""Fields of `locations[]`, filtered as dates."""

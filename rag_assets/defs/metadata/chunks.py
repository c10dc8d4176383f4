"""Metadata of `chunks`: the documents with flagged text."""

from collections.abc import Iterable, Mapping

import dagster as dg

from rag_assets.changes.content_changes import ContentChange
from rag_assets.defs.metadata.tables import column, shortened, table

_ID_LENGTH = 32  # of a page 1,440 pixels wide


def flagged_table(flagged: Mapping[str, int], changes: Iterable[ContentChange]) -> dg.TableMetadataValue:
    """Documents with text resembling instructions to a language model, without quoting it.

    Args:
        flagged: content hash -> number of flagged chunks.
        changes: hold the locations of each content.
    """
    rows = sorted(
        (
            {
                "document_id": shortened(location.document_id, _ID_LENGTH),
                "num_flagged_chunks": flagged[change.content_hash],
            }
            for change in changes
            if change.content_hash in flagged
            for location in change.locations
        ),
        key=lambda row: str(row["document_id"]),
    )
    return table(rows, column("document_id"), column("num_flagged_chunks", "int"))

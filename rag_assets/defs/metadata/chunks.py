"""Metadata of `chunks`: their sizes, and the documents with flagged text."""

from collections import Counter
from collections.abc import Iterable, Mapping

import dagster as dg

from rag_assets.changes.content_changes import ContentChange
from rag_assets.defs.metadata.tables import breakdown, column, table

_SIZE_CLASSES = 8


def flagged_table(flagged: Mapping[str, int], changes: Iterable[ContentChange]) -> dg.TableMetadataValue:
    """Documents with text resembling instructions to a language model, without quoting it.

    Args:
        flagged: content hash -> number of flagged chunks.
        changes: hold the locations of each content.
    """
    rows = sorted(
        (
            {"document_id": location.document_id, "num_flagged_chunks": flagged[change.content_hash]}
            for change in changes
            if change.content_hash in flagged
            for location in change.locations
        ),
        key=lambda row: str(row["document_id"]),
    )
    return table(rows, column("document_id"), column("num_flagged_chunks", "int"))


def chunk_size_breakdown(token_counts: Counter[int], chunk_size: int) -> dg.TableMetadataValue:
    """Distribution of the chunk sizes.

    Args:
        token_counts: size in tokens -> number of chunks.
    """
    width = -(-chunk_size // _SIZE_CLASSES)
    classes: Counter[int] = Counter()
    for tokens, chunks in token_counts.items():
        classes[(max(tokens, 1) - 1) // width] += chunks
    return breakdown(
        "tokens",
        {f"{number * width + 1} to {(number + 1) * width}": classes[number] for number in sorted(classes)},
    )

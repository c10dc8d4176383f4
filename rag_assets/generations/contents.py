"""The contents of a generation: its documents, and the points and text of one content."""

import logging
from collections.abc import Sequence

from rag_assets.errors import MENDED_BY_REBUILD, GenerationDamaged, StateFormatError
from rag_assets.fingerprint import point_id
from rag_assets.generations.digest import documents_hash
from rag_assets.ledgers.base import Ledger
from rag_assets.progress import Progress
from rag_assets.records import DocumentState, Location, Payload, Point
from rag_assets.text.hashing import text_sha256
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import GenerationReader, VectorStore

_logger = logging.getLogger(__name__)


def production_documents(store: VectorStore, ledger: Ledger, generation: str | None) -> list[DocumentState]:
    """Return the documents of a generation, from the ledger or, if the ledger forgot them, from the points."""
    if generation is None:
        return []
    documents = ledger.documents(generation)
    try:
        manifest = store.manifest(generation)
        # An unreadable manifest contradicts nothing. The ledger is then the only record.
        if documents is not None and (
            manifest is None or documents_hash(documents) == manifest.documents_hash
        ):
            return documents
    except StateFormatError:
        if documents is not None:
            return documents
    _logger.info("generation %s is not in the ledger; reading its documents from its points", generation)
    found: dict[str, DocumentState] = {}
    try:
        reader = store.read(generation)
    except MENDED_BY_REBUILD as error:
        # Neither record is left, so every document of the sources counts as new. A refusal would last forever.
        _logger.warning(
            "the documents of generation %s are no longer known; treating every document as new: %s",
            generation,
            error,
        )
        return []
    try:
        progress = Progress("points read", reader.count())
        for batch in reader.scroll():
            for point in progress.over(batch):
                if point.payload["chunk_index"] == 0:
                    for location in locations_of(point.payload):
                        found[location.document_id] = DocumentState(location, point.payload["content_hash"])
    finally:
        reader.close()
    documents = [found[document_id] for document_id in sorted(found)]
    ledger.put_documents(generation, documents)
    return documents


def locations_of(payload: Payload) -> tuple[Location, ...]:
    return tuple(Location.from_payload(location) for location in payload["locations"])


def text_from_points(reader: GenerationReader, fingerprint_hash: str, content_hash: str) -> str | None:
    """Rebuild the text of a content from the points of its chunks.

    Returns:
        None unless the hash proves it to be the same text.
    """
    points = points_of_content(reader, fingerprint_hash, content_hash)
    text = ""
    for point in points:
        text += point.payload["text"][len(text) - point.payload["start"] :]
    matches = text_sha256(text) == content_hash
    return text if points and matches else None


def points_of_content(reader: GenerationReader, fingerprint_hash: str, content_hash: str) -> list[Point]:
    """Return the points of one content in the order of its chunks. Empty if the generation does not hold it."""
    points, _ = _find_points(reader, fingerprint_hash, [content_hash])
    return sorted(points, key=lambda point: point.payload["chunk_index"])


def points_of_contents(
    reader: GenerationReader, fingerprint_hash: str, contents: Sequence[str]
) -> list[Point]:
    """Return all points of these contents.

    Raises:
        GenerationDamaged: some of the points are missing.
    """
    points, expected = _find_points(reader, fingerprint_hash, contents)
    if len(points) != expected:
        raise GenerationDamaged(
            f"generation {reader.generation} lacks {expected - len(points)} of {counted(expected, 'point')}: "
            "run `rag-assets doctor --deep`"
        )
    return points


def _find_points(
    reader: GenerationReader, fingerprint_hash: str, contents: Sequence[str]
) -> tuple[list[Point], int]:
    """Return the points of these contents, and their expected number according to the first chunks."""
    first = reader.retrieve([point_id(fingerprint_hash, content, 0) for content in contents])
    rest = [
        point_id(fingerprint_hash, point.payload["content_hash"], index)
        for point in first
        for index in range(1, point.payload["total_chunks"])
    ]
    others = reader.retrieve(rest) if rest else []
    return first + others, len(contents) + len(rest)

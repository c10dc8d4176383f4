"""The contents of production, for the tables: documents from the ledger, chunks from kept artifacts or from the points."""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress

from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.errors import MENDED_BY_REBUILD, StateFormatError
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import points_of_contents
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState
from rag_assets.tracking.records import Row
from rag_assets.tracking.served import Served

_COLUMNS = ("chunk_index", "total_chunks", "start", "end", "token_count", "flags")
_BATCH = 256
_Values = tuple[int, int, int, int, int, list[str]]


def served_by(knowledge_base: KnowledgeBase) -> Served | None:
    """Return the contents of production, or None if its manifest is damaged: then it is not known. Reads no document.

    Raises:
        RagAssetsError: the vector store does not answer.
    """
    state, hold = knowledge_base.vector_store.production_state(), None
    if state.hold is not None:
        hold = (state.hold.since, state.hold.by, state.hold.reason)
    name = knowledge_base.settings.collection
    production = state.production
    if production is None:
        return Served(name, None, "", "", hold, list[DocumentState], lambda _all: lambda _contents: ())
    try:
        manifest = knowledge_base.vector_store.manifest(production)
    except MENDED_BY_REBUILD:
        manifest = None
    if manifest is None:
        return None
    fingerprint = short_hash(manifest.fingerprint)
    return Served(
        name,
        production,
        fingerprint,
        recorded_model(manifest).model,
        hold,
        lambda: knowledge_base.documents_of(production),
        lambda contents: _ChunkRows(knowledge_base, production, fingerprint, contents),
    )


class _ChunkRows:
    """The rows of the chunks of contents, without their texts.

    The same content in the same index has the same chunks, so any kept artifact will do. The points are asked for the others:
    after a rollback, for example.

    Args:
        contents: all contents of the calls to come. The artifacts are read once for them.
    """

    def __init__(
        self, knowledge_base: KnowledgeBase, generation: str, fingerprint: str, contents: Sequence[str]
    ) -> None:
        self._knowledge_base = knowledge_base
        self._generation = generation
        self._fingerprint = fingerprint
        self._kept: dict[str, list[_Values]] = {}
        missing = set(contents)
        for artifact in knowledge_base.artifacts.kept("chunks"):
            if missing and artifact.header.fingerprint_hash == fingerprint:
                with suppress(StateFormatError):  # damaged: the points have the same
                    self._kept |= _values_in(artifact, missing)
                missing -= self._kept.keys()

    def __call__(self, contents: Sequence[str]) -> Iterator[Row]:
        missing: list[str] = []
        for content_hash in contents:
            found = self._kept.get(content_hash)
            if found is None:
                missing.append(content_hash)
            else:
                yield from (_row(content_hash, *values) for values in found)
        if missing:
            yield from self._from_points(missing)

    def _from_points(self, contents: Sequence[str]) -> Iterator[Row]:
        reader = self._knowledge_base.vector_store.read(self._generation)
        try:
            for first in range(0, len(contents), _BATCH):
                for point in points_of_contents(reader, self._fingerprint, contents[first : first + _BATCH]):
                    payload = point.payload
                    yield _row(
                        payload["content_hash"],
                        payload["chunk_index"],
                        payload["total_chunks"],
                        payload["start"],
                        payload["end"],
                        payload["token_count"],
                        payload.get("flags", []),
                    )
        finally:
            reader.close()


def _values_in(artifact: Artifact, contents: Set[str]) -> dict[str, list[_Values]]:
    """Return content -> its chunks, of these contents only."""
    found: defaultdict[str, list[_Values]] = defaultdict(list)
    for batch in artifact.batches(["content_hash", *_COLUMNS]):
        hashes: list[str] = batch.column("content_hash").to_pylist()
        wanted = [number for number, content_hash in enumerate(hashes) if content_hash in contents]
        if wanted:
            columns = [batch.column(name).to_pylist() for name in _COLUMNS]
            for number in wanted:
                index, total, start, end, num_tokens, flags = (column[number] for column in columns)
                found[hashes[number]].append((index, total, start, end, num_tokens, flags))
    return dict(found)


def _row(
    content_hash: str, index: int, total: int, start: int, end: int, num_tokens: int, flags: Sequence[str]
) -> Row:
    return {
        "content_hash": content_hash,
        "chunk_index": index,
        "total_chunks": total,
        "start_character": start,
        "end_character": end,
        "num_tokens": num_tokens,
        "flags": list(flags),
    }

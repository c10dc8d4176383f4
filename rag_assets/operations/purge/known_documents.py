"""All documents in any record of a knowledge base, and the ones meant by a name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from rag_assets.artifacts.rows import location_from_row
from rag_assets.errors import RefusedError, StateFormatError
from rag_assets.evaluation.benchmark import ids_named
from rag_assets.fingerprint import name_hash
from rag_assets.generations.lookup import stored_generations
from rag_assets.ingestion.purged_documents import KeptOut, PurgedDocument
from rag_assets.inspection.document_names import ambiguous_name, close_matches, spelled_names
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, Location
from rag_assets.text.control_characters import quoted

WITH_DOCUMENTS = ("raw_documents", "deduped_documents", "staging_collection")
"""Assets with a row per document."""


@dataclass(slots=True)
class KnownDocuments:
    """The documents of a knowledge base, from its generations, the last refreshes and earlier purges.

    Attributes:
        by_generation: generation -> its documents. Those of kept generations are read from points if need be.
        contents: id -> hashes of all its known texts.
        locations: id -> its known locations.
        current: id -> hash of the text in the last reading of its source.
        purged: hash of the id -> record of an earlier purge, lifted or not.
    """

    by_generation: dict[str, list[DocumentState]] = field(default_factory=dict[str, list[DocumentState]])
    contents: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    locations: dict[str, list[Location]] = field(default_factory=lambda: defaultdict(list))
    current: dict[str, str] = field(default_factory=dict[str, str])
    purged: dict[str, PurgedDocument] = field(default_factory=dict[str, PurgedDocument])

    def add(self, location: Location, content_hash: str | None) -> None:
        self.locations[location.document_id].append(location)
        if content_hash is not None:
            self.contents[location.document_id].add(content_hash)

    def named(self, name: str) -> str:
        """Return the id of the document of this name.

        Raises:
            RefusedError: there is none, or there are several.
        """
        known = [location for locations in self.locations.values() for location in locations]
        for one in spelled_names(name):
            if name_hash(one) in self.purged:
                return one
            ids = ids_named(one, known)
            if len(ids) > 1:
                raise ambiguous_name(name, ids)
            if ids:
                return ids[0]
        earlier = [one for one in self.purged.values() if one.is_named(name)]
        if len(earlier) == 1 and earlier[0].is_kept_out:
            if earlier[0].document_id:
                return earlier[0].document_id
            raise RefusedError(f"{quoted(name)} is {earlier[0]}. To purge it once more, use its id")
        matches = close_matches(name, known)
        advice = f"did you mean {', '.join(matches)}?" if matches else "use its id, URI, path or filename"
        raise RefusedError(
            f"no record of this knowledge base has a document named {quoted(name)}: {advice}. Nothing was purged"
        )

    def others_with(self, contents: Iterable[str], document_ids: Iterable[str]) -> list[str]:
        """Return the ids of the other documents with one of these texts, in a generation or at their source now."""
        contents, targets = set(contents), set(document_ids)
        holders = {
            state.document_id
            for documents in self.by_generation.values()
            for state in documents
            if state.content_hash in contents
        }
        holders |= {name for name, content in self.current.items() if content in contents}
        kept_out = KeptOut(self.purged)
        return sorted(name for name in holders - targets if name not in kept_out)

    def other_names(self, document_id: str) -> set[str]:
        """Return the names of a document beside its id: its path, URIs, and filename, unless another document has that."""
        locations = self.locations[document_id]
        names = {document_id.partition(":")[2], *(one.source_uri for one in locations)}
        names |= {one.path for one in locations}
        names |= {unquote(urlsplit(one).path) for one in names if one.startswith("file:")}
        of_others = {
            one.filename for name, found in self.locations.items() if name != document_id for one in found
        }
        names |= {one.filename for one in locations} - of_others
        return names - {"", document_id}

    def earlier_purge(self, document_id: str) -> PurgedDocument | None:
        """Return the record of an earlier purge, unless it was lifted."""
        one = self.purged.get(name_hash(document_id))
        return one if one is not None and one.is_kept_out else None


def known_documents(knowledge_base: KnowledgeBase) -> KnownDocuments:
    """Collect all documents. No source is asked."""
    found = KnownDocuments(purged=knowledge_base.purged_documents.all())
    for generation in stored_generations(knowledge_base.vector_store):
        documents = knowledge_base.documents_of(generation.name)
        found.by_generation[generation.name] = documents
        for state in documents:
            found.add(state.location, state.content_hash)
    for asset in WITH_DOCUMENTS:
        for location, contents in _recorded(knowledge_base, asset):
            for content in contents or [None]:
                found.add(location, content)
    with suppress(StateFormatError):
        raw = knowledge_base.artifacts.latest("raw_documents")
        for row in raw.rows(["document_id", "content_hash"]) if raw else ():
            if row["content_hash"] is not None:
                found.current[row["document_id"]] = row["content_hash"]
    for document_id in found.locations.keys() | {one.document_id for one in found.purged.values()}:
        if (one := found.purged.get(name_hash(document_id))) is not None:
            found.contents[document_id].update(one.contents)
    return found


def _recorded(knowledge_base: KnowledgeBase, asset: str) -> Iterator[tuple[Location, list[str]]]:
    for artifact in knowledge_base.artifacts.kept(asset):
        with suppress(StateFormatError):
            for row in artifact.rows():
                hashes = (row.get(key) for key in ("content_hash", "previous_content_hash"))
                yield location_from_row(row), [one for one in hashes if one is not None]

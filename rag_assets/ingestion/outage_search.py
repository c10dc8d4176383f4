"""The search for failed parts of the sources, and for unbelievable answers. The documents there are kept."""

import logging
from collections.abc import Callable, Iterable, Mapping, Set

from rag_assets.changes.outages import FailedParts, examined
from rag_assets.changes.vanished_parts import gone_parts, vanished_parts
from rag_assets.ingestion.equal_answers import equal_answers
from rag_assets.ingestion.mounts import missing_mounts
from rag_assets.ingestion.source_reports import SourceReport
from rag_assets.records import DocumentState, Outage, SourceEntry
from rag_assets.sources.base import FailsInParts, FindsSameDocuments, NamesMounts, Source
from rag_assets.text.store import TextStore
from rag_assets.text.wording import counted

_logger = logging.getLogger(__name__)


class OutageSearch:
    """Compares one reading of the sources with production. `find` comes first, once per source.

    Args:
        served: returns the documents in production by id.
        approved_tokens: tokens approved by a person.
        known_mounts: `mounts` of the last reading.
        is_quiet: whether to log nothing.

    Attributes:
        mounts: source -> mount point -> prefix of the paths below it, to be remembered for the next reading.
    """

    def __init__(
        self,
        served: Callable[[], Mapping[str, DocumentState]],
        text_store: TextStore,
        approved_tokens: Set[str],
        known_mounts: Mapping[str, Mapping[str, str]],
        *,
        is_quiet: bool = False,
    ) -> None:
        self._is_quiet = is_quiet
        self.mounts: dict[str, dict[str, str]] = {}
        self._ask_what_is_served = served
        self._text_store = text_store
        self._approved_tokens = approved_tokens
        self._known_mounts = known_mounts
        self._listed_paths: dict[str, Set[str]] = {}
        self._appeared: set[str] = set()

    @property
    def _served(self) -> Mapping[str, DocumentState]:
        return self._ask_what_is_served()

    def find(
        self,
        source: Source,
        report: SourceReport,
        current: Mapping[str, DocumentState],
        known: Iterable[Outage] = (),
    ) -> None:
        """Report the failed parts of a source, and count the listed documents that are gone.

        Args:
            current: path -> document read now.
            known: outages found before.
        """
        self._listed_paths[source.name] = current.keys()
        self._appeared.update(
            state.content_hash for state in current.values() if state.content_hash and self._is_new(state)
        )
        listed = {state.document_id for state in current.values()}
        failed = self._failed_parts(source, report, listed)
        served = [state for state in self._served.values() if state.location.source == source.name]
        same_as = source.same_documents() if isinstance(source, FindsSameDocuments) else {}
        failed.extend(equal_answers(source.name, served, current, same_as, self._text_store.get))
        gone = set(report.gone) - same_as.keys()
        gone_at_once = gone_parts(source.name, (state.location.path for state in served), gone)
        self._report(report, [*failed, *known, *gone_at_once], listed)
        if num_gone := len(gone.difference(*(outage.paths for outage in gone_at_once))):
            report.skipped_files = {**report.skipped_files, "(gone)": num_gone}

    def find_in_listing(self, source: Source, report: SourceReport, entries: Iterable[SourceEntry]) -> None:
        """Report the failed parts of a source without reading it, in place of `find`.

        A new document with the name of a served one may be the same, in another place.
        """
        entries = list(entries)
        self._listed_paths[source.name] = {entry.path for entry in entries}
        new_names = {entry.filename for entry in entries if entry.document_id not in self._served}
        self._appeared.update(
            state.content_hash
            for state in self._served.values()
            if state.content_hash and state.location.filename in new_names
        )
        listed = {entry.document_id for entry in entries}
        self._report(report, self._failed_parts(source, report, listed), listed)

    def find_vanished_parts(self, report: SourceReport) -> None:
        """Report folders, or a source, that went to nothing. After `find` for all sources: documents may have moved."""
        if not report.complete:
            return
        listed = self._listed_paths[report.source]
        failed = FailedParts(report.outages)
        missing = [
            state
            for state in self._served.values()
            if state.location.source == report.source
            and state.location.path not in listed
            and not failed.contain(state.location)
        ]
        vanished = vanished_parts(report.source, missing, listed, self._appeared)
        if vanished:
            self._report(report, vanished, self._served.keys() - {it.document_id for it in missing})

    def _failed_parts(self, source: Source, report: SourceReport, listed: Set[str]) -> list[Outage]:
        failed = list(source.outages()) if isinstance(source, FailsInParts) else []
        return [*failed, *self._missing_mounts(source, report, listed)]

    def _is_new(self, state: DocumentState) -> bool:
        """Return whether production holds another content in this place, or none."""
        served = self._served.get(state.document_id)
        return served is None or served.content_hash != state.content_hash

    def _missing_mounts(self, source: Source, report: SourceReport, listed: Set[str]) -> list[Outage]:
        """Return the volumes that are missing with their documents, and remember them with the present ones."""
        known = self._known_mounts.get(source.name, {})
        missing = missing_mounts(source.name, known)
        examinations = [examined(one, self._served, listed, frozenset()) for one in missing]
        kept = {one.place for one in examinations if one is not None and one.num_kept}
        present = source.mounts if isinstance(source, NamesMounts) else {}
        remembered = {
            mount: prefix for mount, prefix in known.items() if mount in kept or not report.complete
        }
        if mounts := {**remembered, **present}:
            self.mounts[source.name] = mounts
        return [one for one in missing if one.place in kept]

    def _report(self, report: SourceReport, outages: Iterable[Outage], listed: Set[str]) -> None:
        """Add outages to a report, and warn of them.

        Args:
            listed: document ids.
        """
        for found in outages:
            outage = examined(found, self._served, listed, self._approved_tokens)
            if outage is None:
                continue
            report.outages.append(outage)
            if not outage.is_admitted and not self._is_quiet:
                _logger.warning(
                    "source %s: %s: %s: %s kept",
                    report.source,
                    outage.place,
                    outage.problem,
                    counted(outage.num_kept, "document"),
                )

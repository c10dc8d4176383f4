"""Restoring a backup into an empty installation, or into a living one.

Everything is checked before anything is touched. The pointer to production is written last, in one step: until then
nothing is served, or the living production is. A killed restore is run again, and uses its finished parts.

Empty: generations keep their names, and production, previous, hold, readings and approvals are those of the backup.
Living: production and the held generation get new names, because a name is never used twice. The production of now becomes
the previous one, so that a rollback returns to it. Its readings, approvals and records of refreshes stay.
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.errors import (
    MENDED_BY_REBUILD,
    BackupUnusable,
    MetadataTablesUnavailable,
    ProductionHeld,
    RefusedError,
)
from rag_assets.generations.copying import CheckedPoints, copy_generation
from rag_assets.generations.verification import check_sealed
from rag_assets.ingestion.purged_documents import KeptOut, purged_from
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Spending
from rag_assets.ledgers.lease import lease_renewed, wait_for_lease
from rag_assets.ledgers.registry import build_read_only_ledger
from rag_assets.operations.backup.create import (
    ARTIFACTS,
    BENCHMARK,
    PARSES,
    PURGED,
    SIGNATURES,
    SPENDING,
    TABLES,
    TEXTS,
    VECTORS,
)
from rag_assets.operations.backup.index import BackedUpGeneration, BackupIndex, checked_index
from rag_assets.operations.backup.places import BackupPlace
from rag_assets.operations.backup.points_file import read_points
from rag_assets.operations.backup.rows_file import parse_from_row, read_rows
from rag_assets.operations.decisions import checked_name, checked_reason, record_decision
from rag_assets.progress import Progress
from rag_assets.records import DocumentState, GenerationManifest, Refusal
from rag_assets.refresh.promotion import retire
from rag_assets.tracking.observer import Observer
from rag_assets.vector_stores.production_state import ProductionState

_logger = logging.getLogger(__name__)
Identity = Literal["ask", "same", "new"]


@dataclass(slots=True)
class RestoreReport:
    """The result of a restore.

    Attributes:
        was_there: whether an earlier restore of the same backup had finished.
        num_purged: documents of the backup, purged later and left out.
        benchmark: path of the benchmark written, None if the existing one stays or is the same.
        benchmark_beside: path of the other benchmark, if the existing one differs.
        notes: for people.
    """

    index: BackupIndex
    state: ProductionState
    seconds: float = 0.0
    was_there: bool = False
    num_purged: int = 0
    benchmark: Path | None = None
    benchmark_beside: Path | None = None
    notes: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class _Restore:
    """One restore in progress.

    Attributes:
        kept_out: the purged documents.
        is_older_than_a_purge: the backup may hold a document that was purged since.
        without: ids of purged documents in the backup.
        affected: roles of the generations that hold some of them.
    """

    knowledge_base: KnowledgeBase
    place: BackupPlace
    index: BackupIndex
    living: bool
    kept_out: KeptOut = field(default_factory=lambda: KeptOut({}))
    is_older_than_a_purge: bool = False
    without: frozenset[str] = frozenset()
    affected: set[str] = field(default_factory=set[str])
    report: RestoreReport = field(init=False)

    def __post_init__(self) -> None:
        self.report = RestoreReport(self.index, ProductionState())


def restore(
    knowledge_base: KnowledgeBase,
    place: BackupPlace,
    *,
    into_living: str | None = None,
    identity: Identity = "ask",
    by: str = "",
    reason: str = "",
) -> RestoreReport:
    """Restore a backup.

    Args:
        into_living: name of the knowledge base, to replace its production.
        identity: whether an empty installation takes the id of the original, which is gone, or gets a new one as a copy.
            `ask` takes it, unless a Redis server knows this id: then the original may be alive.

    Raises:
        BackupUnusable: the backup is damaged. Nothing was changed.
        RefusedError: the installation is not empty, or another one was named.
        ProductionHeld: a person holds the living production.
        SupersededError: production changed in the meantime.
    """
    began = time.monotonic()
    by, reason = checked_name(by), checked_reason(reason)
    index = checked_index(place)
    living = _is_living(knowledge_base, index, into_living)
    restoring = _Restore(knowledge_base, place, index, living)
    if index.knowledge_base != knowledge_base.settings.collection:
        restoring.report.notes.append(
            f"this is a backup of knowledge base {index.knowledge_base}, restored as {knowledge_base.settings.collection}"
        )
    store = knowledge_base.vector_store
    if not living:
        if store.production_state() == index.state and store.production_state().production:
            restoring.report.state, restoring.report.was_there = index.state, True
            return restoring.report
        _give_id(knowledge_base, index, identity)
    owner = f"restore-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    wait_for_lease(knowledge_base.ledger, owner)
    try:
        with lease_renewed(knowledge_base.ledger, owner, process_outlives_step=False) as held:
            expected = store.production_state()
            if living and expected.hold is not None:
                raise ProductionHeld(
                    f"{expected.hold_in_words}. Nothing was restored: `rag-assets resume` lifts the hold"
                )
            _restore_purged(restoring)
            _restore_texts(restoring)
            _restore_ledger(restoring)
            if not living:
                _restore_artifacts(restoring)
                _restore_tables(restoring)
            _restore_benchmark(restoring)
            state = _restore_generations(restoring, expected)
            held.holds()
            restoring.report.state = store.exchange(state, expected, None if living else index.readings)
            after = restoring.report.state.production
            about = f"backup of {index.made_at}"
            record_decision(knowledge_base, "restore", by, reason, about, expected.production, after)
            if living:
                retire(store, knowledge_base.ledger, lambda _: 0)
    finally:
        knowledge_base.ledger.release_lease(owner)
    restoring.report.seconds = time.monotonic() - began
    return restoring.report


def _give_id(knowledge_base: KnowledgeBase, index: BackupIndex, identity: Identity) -> None:
    """Create the id of an empty installation.

    Raises:
        RefusedError: Redis knows the id of the original, and nothing was said about it.
    """
    store, settings = knowledge_base.vector_store, knowledge_base.settings
    if store.find_knowledge_base_id() is not None:
        return
    if identity == "ask" and settings.redis_address is not None:
        with closing(build_read_only_ledger(settings, index.knowledge_base_id)) as ledger:
            known = (
                ledger.lease_holder() is not None
                or ledger.documents(str(index.state.production)) is not None
                or next(ledger.all_parses(), None) is not None
            )
        if known:
            raise RefusedError(
                f"Redis at {settings.redis_address} knows the knowledge base of this backup. If the original is gone and this one "
                "takes its place, add --same-id. For a copy beside it, add --new-id: two with one id would share a lease. "
                "Nothing was changed"
            )
    store.knowledge_base_id("" if identity == "new" else index.knowledge_base_id)


def _is_living(knowledge_base: KnowledgeBase, index: BackupIndex, into_living: str | None) -> bool:
    """Decide between an empty and a living installation.

    Raises:
        RefusedError: it is not the requested one.
    """
    name = knowledge_base.settings.collection
    state = knowledge_base.vector_store.production_state()
    is_empty = state == ProductionState()
    if into_living is not None:
        if into_living != name:
            raise RefusedError(
                f"this is knowledge base {name}, not {into_living}: set RAG_COLLECTION, or name this one. Nothing was changed"
            )
        if index.knowledge_base != name:
            raise RefusedError(
                f"this is a backup of knowledge base {index.knowledge_base}, and {name} is in use here: name the backup of {name}, or "
                "restore this one into an empty installation. Nothing was changed"
            )
        if is_empty:
            raise RefusedError(
                f"{knowledge_base.place} is empty: leave out --into-living. Nothing was changed"
            )
        return True
    if is_empty or state == index.state:
        return False
    raise RefusedError(
        f"{knowledge_base.place} is in use: {state.production or 'nothing'} is in production. To replace it by the backup of "
        f"{index.made_at}, and keep it as the previous generation, add `--into-living {name}`. Nothing was changed"
    )


def _restore_purged(restoring: _Restore) -> None:
    """Add the purged documents of the backup to those of this installation."""
    purged = restoring.knowledge_base.purged_documents
    before = {one.document_hash for one in purged.kept_out()}
    finished: set[str] = set()
    if PURGED in restoring.index.files:
        stored = purged_from(json.loads(restoring.place.get(PURGED).read_bytes()), PURGED)
        finished = {name for name, one in stored.items() if one.completed_at}
        purged.merge(stored.values())
        if not restoring.living:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            purged.put(one.finished(now) for one in purged.kept_out() if one.document_hash not in before)
    restoring.kept_out = purged.kept_out()
    restoring.is_older_than_a_purge = any(one.document_hash not in finished for one in restoring.kept_out)


def _restore_texts(restoring: _Restore) -> None:
    """Put the texts back, without those of purged documents."""
    store = restoring.knowledge_base.text_store
    unwanted = _contents_only_of_purged(restoring)
    progress = Progress("texts restored")
    for rows in read_rows(restoring.place.get(TEXTS)):
        for row in progress.over(rows):
            if row["content_hash"] in unwanted:
                continue
            if not store.has(row["content_hash"]) and store.put(row["text"]) != row["content_hash"]:
                raise BackupUnusable(f"{restoring.place.name}: {TEXTS} holds another text than it says")


def _contents_only_of_purged(restoring: _Restore) -> set[str]:
    """Find the purged documents in the backup. Return the contents that belong to them alone."""
    kept_out = restoring.kept_out
    if not kept_out:
        return set()
    unwanted = {content for one in kept_out for content in one.contents}
    wanted: set[str] = set()
    without: set[str] = set()
    for generation in restoring.index.generations:
        for batch in read_points(restoring.place.get(generation.file)):
            for point in batch:
                ids = {location["document_id"] for location in point.payload["locations"]}
                purged = {one for one in ids if one in kept_out}
                if purged:
                    restoring.affected.add(generation.role)
                    without |= purged
                (unwanted if ids <= purged else wanted).add(point.payload["content_hash"])
    restoring.without = frozenset(without)
    return unwanted - wanted


def _restore_ledger(restoring: _Restore) -> None:
    ledger, place = restoring.knowledge_base.ledger, restoring.place
    contents = {content for one in restoring.kept_out for content in one.contents}
    for rows in read_rows(place.get(PARSES)):
        records = [parse_from_row(row) for row in rows]
        known = ledger.parses([one.source_uri for one in records]) if restoring.living else {}
        ledger.put_parses(
            one
            for one in records
            if one.source_uri not in known and one.content_hash not in contents
            if not any(purged.has_address(one.source_uri) for purged in restoring.kept_out)
        )
    # Their keys do not name a document, so those of a purged one cannot be told apart.
    if not restoring.is_older_than_a_purge:
        for rows in read_rows(place.get(VECTORS)):
            ledger.put_vectors({row["key"]: np.array(row["vector"], dtype=np.float32) for row in rows})
        for rows in read_rows(place.get(SIGNATURES)):
            ledger.put_signatures({row["key"]: row["signature"] for row in rows})
    if not restoring.living:
        ledger.put_refusals(_refusals(restoring.index))
        for token in restoring.index.approved_tokens:
            ledger.approve(token)
        spending: dict[str, Any] = json.loads(place.get(SPENDING).read_bytes())
        ledger.forget_spending(spending)  # of an interrupted restore
        for run_id, sums in spending.items():
            for one in sums:
                ledger.add_spending(run_id, Spending(**one))


def _refusals(index: BackupIndex) -> Iterator[Refusal]:
    for stored in index.refusals:
        fields: dict[str, Any] = {
            **stored,
            "sources": tuple(stored["sources"]),
            "examples": tuple(stored["examples"]),
        }
        yield Refusal(**fields)


def _restore_artifacts(restoring: _Restore) -> None:
    if restoring.is_older_than_a_purge:
        restoring.report.notes.append(
            "the backup is older than a purge: the records of its last refreshes and its cached vectors are left out, because they "
            "may hold the purged document"
        )
        return
    home = restoring.knowledge_base.failures.folder
    for name in restoring.index.files:
        if name.startswith(ARTIFACTS):
            path = home / name.removeprefix(ARTIFACTS)
            if not path.resolve().is_relative_to(home.resolve()):
                raise BackupUnusable(f"{restoring.place.name}: {name} leads out of its folder")
            make_private_folder(path.parent)
            replace_file(path, restoring.place.get(name).read_bytes())


def _restore_tables(restoring: _Restore) -> None:
    """Put the metadata tables back. They only observe: a database that does not answer is a note."""
    names = [name for name in restoring.index.files if name.startswith(TABLES)]
    if not names:
        return
    with TemporaryDirectory(prefix="rag-assets-tables-") as folder:  # mode 0700
        for name in names:
            shutil.copyfile(restoring.place.get(name), Path(folder) / name.removeprefix(TABLES))
        try:
            Observer(restoring.knowledge_base).load(Path(folder))
        except MetadataTablesUnavailable as error:
            restoring.report.notes.append(f"the metadata tables were not restored: {error}")


def _restore_benchmark(restoring: _Restore) -> None:
    if BENCHMARK not in restoring.index.files:
        return
    content = restoring.place.get(BENCHMARK).read_bytes()
    path = restoring.knowledge_base.settings.benchmark_file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, durable=True)
        restoring.report.benchmark = path
    elif path.read_bytes() != content:
        beside = path.with_suffix(".backup.jsonl")
        replace_file(beside, content, durable=True)
        restoring.report.benchmark_beside = beside


def _restore_generations(restoring: _Restore, expected: ProductionState) -> ProductionState:
    """Write the generations, and return the new state."""
    index = restoring.index
    production = index.in_role("production")
    if production is None:
        raise BackupUnusable(f"{restoring.place.name}: it has no production")
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    names: dict[str, str] = {}
    for one in index.generations:
        if restoring.living and one.role == "previous":
            continue
        # A purge since then makes other points, and other points need another name.
        fresh = restoring.living or one.role in restoring.affected
        name = f"{now}-restored-{one.role}" if fresh else one.manifest.generation
        names[one.role] = _restore_generation(restoring, one, name)
    hold = index.state.hold
    if hold is not None:
        hold = replace(hold, generation=names.get("held", hold.generation))
    previous = expected.production if restoring.living else names.get("previous")
    return ProductionState(names["production"], previous, hold)


def _restore_generation(restoring: _Restore, stored: BackedUpGeneration, name: str) -> str:
    """Write one generation, unless an interrupted restore wrote it. Return its name."""
    store = restoring.knowledge_base.vector_store
    if name in store.generations():
        try:
            manifest = store.manifest(name)
            if manifest is not None and manifest.digest == stored.manifest.digest:
                check_sealed(store, manifest)
                _put_documents(restoring, manifest, None)
                return name
        except MENDED_BY_REBUILD:
            pass
        store.discard(name)
    checked = CheckedPoints(stored.manifest, restoring.index.exact_vectors)
    batches = checked.over(read_points(restoring.place.get(stored.file)), "points restored")
    manifest, documents = copy_generation(store, batches, stored.manifest, name, without=restoring.without)
    if stored.role == "production":
        restoring.report.num_purged = len(restoring.without & checked.documents.keys())
    if stored.report_digest is not None and manifest.digest == stored.manifest.digest:
        store.record_report(name, stored.report_digest)
    _put_documents(restoring, manifest, documents)
    return name


def _put_documents(
    restoring: _Restore, manifest: GenerationManifest, documents: list[DocumentState] | None
) -> None:
    if documents is None:
        restoring.knowledge_base.documents_of(manifest.generation)  # reads and remembers them
        return
    restoring.knowledge_base.ledger.put_documents(manifest.generation, documents)

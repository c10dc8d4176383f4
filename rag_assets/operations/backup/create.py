"""Making a backup: the state of one moment, also while a refresh runs.

The pointer to production, the hold, the numbers of readings and the approvals are read, and read again until they did not
change in between. That is the moment. Generations never change, and an open reader outlives the deletion of one. Texts are
found by their content, and the ledger is a cache. So a promotion during the backup does not mix into it.

Candidates are left out: the next refresh sweeps them. So are chunks and embeddings of refreshes in progress.
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rag_assets.errors import (
    GenerationDamaged,
    MetadataTablesUnavailable,
    RefusedError,
    StateFormatError,
    VectorStoreUnavailable,
)
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import text_from_points
from rag_assets.generations.copying import CheckedPoints
from rag_assets.generations.verification import check_sealed
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.operations.backup.index import (
    BackedUpGeneration,
    BackupIndex,
    StoredFile,
    stored_file,
    write_index,
)
from rag_assets.operations.backup.places import BackupPlace
from rag_assets.operations.backup.points_file import write_points
from rag_assets.operations.backup.rows_file import (
    parse_as_row,
    parses_schema,
    signatures_schema,
    texts_schema,
    vectors_schema,
    write_rows,
)
from rag_assets.progress import Progress
from rag_assets.records import GenerationManifest, Readings
from rag_assets.tracking.observer import Observer
from rag_assets.vector_stores.base import GenerationReader
from rag_assets.vector_stores.production_state import ProductionState

_logger = logging.getLogger(__name__)
_ATTEMPTS = 3
_LEFT_OUT_ASSETS = frozenset({"chunks", "embeddings"})
TEXTS, PARSES, VECTORS, SIGNATURES, SPENDING = (
    "texts.parquet",
    "ledger/parses.parquet",
    "ledger/vectors.parquet",
    "ledger/signatures.parquet",
    "ledger/spending.json",
)
BENCHMARK, PURGED, ARTIFACTS, TABLES = "benchmark.jsonl", "purged.json", "artifacts/", "tables/"


@dataclass(slots=True)
class BackupReport:
    """The result of a backup.

    Attributes:
        num_texts_lost: contents without a text. Their documents are parsed again after a restore.
        tables_problem: why the metadata tables are left out, "" if they are not.
        changed_to: production at the end, "" if it is the one in the backup.
    """

    index: BackupIndex
    seconds: float = 0.0
    num_texts: int = 0
    num_texts_lost: int = 0
    num_ledger_entries: int = 0
    has_benchmark: bool = False
    tables_problem: str = ""
    changed_to: str = ""


@dataclass(frozen=True, slots=True)
class _Moment:
    """The small state, read at once."""

    state: ProductionState
    readings: Readings
    refusals: list[dict[str, Any]]
    approved_tokens: list[str]
    purged: bytes
    at: str


@dataclass(slots=True)
class _Writing:
    """The files of a backup in progress."""

    place: BackupPlace
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])

    def begin(self, name: str) -> Path:
        return self.place.begin(name)

    def finish(self, name: str, path: Path) -> None:
        self.files[name] = stored_file(path)
        self.place.finish(name)

    def clear(self) -> None:
        for name in self.place.names():
            self.place.remove(name)
        self.files.clear()


def back_up(knowledge_base: KnowledgeBase, place: BackupPlace) -> BackupReport:
    """Write a backup into an empty place.

    Raises:
        RefusedError: the place is not empty, or nothing is in production.
        GenerationDamaged: production is damaged.
        VectorStoreUnavailable: the store does not answer, or production changed faster than it could be read.
    """
    began = time.monotonic()
    if knowledge_base.vector_store.production_state().production is None:
        raise RefusedError(
            f"nothing is in production yet ({knowledge_base.place}): there is nothing to back up"
        )
    place.require_empty()
    writing = _Writing(place)
    attempt = 1
    while True:
        moment = _moment(knowledge_base)
        try:
            report = _back_up(knowledge_base, writing, moment)
            break
        except (VectorStoreUnavailable, GenerationDamaged, StateFormatError):
            # A generation retired meanwhile looks damaged or away. The new state has others.
            if attempt == _ATTEMPTS or knowledge_base.vector_store.production_state() == moment.state:
                raise
            _logger.warning("production changed, and a generation is gone: the backup begins again")
            writing.clear()
            attempt += 1
    now = knowledge_base.vector_store.production_state()
    report.changed_to = (now.production or "nothing") if now.production != moment.state.production else ""
    report.seconds = time.monotonic() - began
    return report


def _moment(knowledge_base: KnowledgeBase) -> _Moment:
    store, ledger = knowledge_base.vector_store, knowledge_base.ledger
    while True:
        state, readings = store.production_state(), store.readings()
        moment = _Moment(
            state,
            readings,
            [asdict(one) for one in ledger.refusals().values()],
            sorted(ledger.approved_tokens()),
            knowledge_base.purged_documents.to_bytes(),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if (store.production_state(), store.readings()) == (state, readings):
            return moment


def _back_up(knowledge_base: KnowledgeBase, writing: _Writing, moment: _Moment) -> BackupReport:
    generations: list[BackedUpGeneration] = []
    left_out: dict[str, str] = {}
    contents: set[str] = set()
    with ExitStack() as stack:
        opened = _open(knowledge_base, moment.state, left_out, stack)
        for role, manifest, reader in opened:
            file = f"points/{role}.parquet"
            checked = CheckedPoints(manifest, knowledge_base.vector_store.exact_vectors)
            path = writing.begin(file)
            batches = checked.over(reader.scroll(1024, with_vectors=True), "points backed up")
            write_points(path, batches, int(manifest.fingerprint["embedding_model"]["dimensions"]))
            writing.finish(file, path)
            digest = knowledge_base.vector_store.report_digest(manifest.generation)
            generations.append(BackedUpGeneration(role, file, manifest, digest))
            contents |= {str(one.content_hash) for one in checked.documents.values()}
        contents |= _contents_of_sources(knowledge_base)
        num_texts, num_lost = _write_texts(knowledge_base, writing, contents, opened)
    num_entries = _write_ledger(knowledge_base, writing)
    _copy_other_files(knowledge_base, writing)
    tables_problem = _write_tables(knowledge_base, writing)
    if moment.purged:
        path = writing.begin(PURGED)
        path.write_bytes(moment.purged)
        writing.finish(PURGED, path)
    if knowledge_base.purged_documents.to_bytes() != moment.purged:
        writing.clear()
        raise RefusedError(
            "a document was purged during the backup, which may hold it. It was removed: back up again"
        )
    index = BackupIndex(
        knowledge_base=knowledge_base.settings.collection,
        knowledge_base_id=knowledge_base.vector_store.find_knowledge_base_id() or "",
        made_at=moment.at,
        made_by=_version(),
        state=moment.state,
        readings=moment.readings,
        exact_vectors=knowledge_base.vector_store.exact_vectors,
        generations=tuple(generations),
        refusals=tuple(moment.refusals),
        approved_tokens=tuple(moment.approved_tokens),
        left_out=left_out,
        files=dict(writing.files),
    )
    writing.place.make_durable()
    write_index(writing.place, index)
    return BackupReport(
        index,
        num_texts=num_texts,
        num_texts_lost=num_lost,
        num_ledger_entries=num_entries,
        has_benchmark=BENCHMARK in writing.files,
        tables_problem=tables_problem,
    )


def _open(
    knowledge_base: KnowledgeBase, state: ProductionState, left_out: dict[str, str], stack: ExitStack
) -> list[tuple[str, GenerationManifest, GenerationReader]]:
    """Open the kept generations, production first. A damaged one of the others is left out."""
    store = knowledge_base.vector_store
    opened: list[tuple[str, GenerationManifest, GenerationReader]] = []
    for role in ("production", "previous", "held"):
        name = getattr(state, role)
        if name is None:
            continue
        try:
            manifest = store.manifest(name)
            if manifest is None:
                raise GenerationDamaged(f"generation {name} does not exist or was never sealed")
            reader = store.read(name)
            stack.callback(reader.close)
            check_sealed(store, manifest, "quick")
            opened.append((role, manifest, reader))
        except (GenerationDamaged, StateFormatError) as error:
            if role == "production" or store.production_state() != state:
                raise
            left_out[name] = str(error)
            _logger.warning("the %s generation is left out of the backup: %s", role, error)
    return opened


def _contents_of_sources(knowledge_base: KnowledgeBase) -> set[str]:
    """Return the contents of the last reading, such as those of omitted documents."""
    with suppress(StateFormatError):
        raw = knowledge_base.artifacts.latest("raw_documents")
        rows = raw.rows(["content_hash"]) if raw else ()
        return {row["content_hash"] for row in rows if row["content_hash"] is not None}
    return set()


def _write_texts(
    knowledge_base: KnowledgeBase,
    writing: _Writing,
    contents: set[str],
    opened: Sequence[tuple[str, GenerationManifest, GenerationReader]],
) -> tuple[int, int]:
    num_lost = 0
    progress = Progress("texts backed up", len(contents))

    def rows() -> Iterator[dict[str, str]]:
        nonlocal num_lost
        for content_hash in progress.over(sorted(contents)):
            text = knowledge_base.text_store.peek(content_hash)
            for _, manifest, reader in opened:
                if text is None:
                    text = text_from_points(reader, short_hash(manifest.fingerprint), content_hash)
            if text is None:
                num_lost += 1
            else:
                yield {"content_hash": content_hash, "text": text}

    path = writing.begin(TEXTS)
    num_texts = write_rows(path, rows(), texts_schema())
    writing.finish(TEXTS, path)
    return num_texts, num_lost


def _write_ledger(knowledge_base: KnowledgeBase, writing: _Writing) -> int:
    ledger = knowledge_base.ledger
    parts: tuple[tuple[str, Iterator[dict[str, Any]], Any], ...] = (
        (PARSES, (parse_as_row(one) for batch in ledger.all_parses() for one in batch), parses_schema()),
        (
            VECTORS,
            ({"key": key, "vector": one} for batch in ledger.all_vectors() for key, one in batch.items()),
            vectors_schema(),
        ),
        (
            SIGNATURES,
            (
                {"key": key, "signature": one}
                for batch in ledger.all_signatures()
                for key, one in batch.items()
            ),
            signatures_schema(),
        ),
    )
    num_entries = 0
    for name, rows, schema in parts:
        path = writing.begin(name)
        num_entries += write_rows(path, rows, schema)
        writing.finish(name, path)
    spending = {run_id: [asdict(one) for one in sums] for run_id, sums in ledger.spending().items()}
    path = writing.begin(SPENDING)
    path.write_text(json.dumps(spending), encoding="utf-8")
    writing.finish(SPENDING, path)
    return num_entries + len(spending)


def _other_files(knowledge_base: KnowledgeBase) -> Iterator[tuple[str, Path]]:
    """Yield name and path of the benchmark, and of the records of the last refreshes."""
    if knowledge_base.settings.benchmark_file.is_file():
        yield BENCHMARK, knowledge_base.settings.benchmark_file
    home = knowledge_base.failures.folder
    if not home.is_dir():
        return
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden and inside.parts[0] not in _LEFT_OUT_ASSETS:
            yield ARTIFACTS + inside.as_posix(), path


def _write_tables(knowledge_base: KnowledgeBase, writing: _Writing) -> str:
    """Write the metadata tables. They only observe: if they cannot be read, return the problem, and go on."""
    observer = Observer(knowledge_base)
    if isinstance(observer.place, Path) and not observer.place.exists():
        return ""
    with TemporaryDirectory(prefix="rag-assets-tables-") as folder:  # mode 0700
        try:
            observer.dump(Path(folder) / "tables")
        except MetadataTablesUnavailable as error:
            _logger.warning("the metadata tables are left out of the backup: %s", error)
            return str(error)
        for source in sorted((Path(folder) / "tables").iterdir()):
            name = TABLES + source.name
            target = writing.begin(name)
            with source.open("rb") as reading, target.open("wb") as to:
                shutil.copyfileobj(reading, to)
            writing.finish(name, target)
    return ""


def _copy_other_files(knowledge_base: KnowledgeBase, writing: _Writing) -> None:
    """Copy files. A folder removed meanwhile is left out."""
    gone: set[Path] = set()
    for name, source in _other_files(knowledge_base):
        if source.parent in gone:
            continue
        target = writing.begin(name)
        try:
            with source.open("rb") as reading, target.open("wb") as to:
                shutil.copyfileobj(reading, to)
        except FileNotFoundError:
            writing.place.remove(name)
            gone.add(source.parent)
        else:
            writing.finish(name, target)


def _version() -> str:
    try:
        return metadata.version("rag-assets")
    except metadata.PackageNotFoundError:  # run from a clone, not installed
        return "(not installed)"

"""One knowledge base in a temporary folder, whose refreshes take a tenth of a second.

The bodies of the seven assets and of the gate run one after the other, as in a Dagster run, without an instance, a job
or a process of Dagster. The embedded store, the SQLite ledger, the artifacts and the files are real. The embedder
computes its vectors from hashes, and documents are parsed in this process.
"""

import contextlib
import hashlib
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import dagster as dg

from rag_assets.defs.asset_checks import recall_gate
from rag_assets.defs.asset_step import ERROR_KEY
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.embedders.base import Embedder
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.latencies import Latencies
from rag_assets.parsers.base import AnyParser
from rag_assets.parsers.isolation import ParseLimits
from rag_assets.parsers.parsed_text import ParsedText
from rag_assets.parsers.registry import parse_with
from rag_assets.refresh.outcome import OUTCOME_KEY
from rag_assets.refresh.outcome import Outcome as Result
from rag_assets.settings import Settings, load_settings
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.documents import FakeEmbedder
from rag_assets_tests.small_generations import small_generations

SOURCES = ("one", "two")
ANCHORS = (("one", "anchor.md"), ("two", "ground.md"))
"""Documents that are never touched: one answers the benchmark, and no source goes to nothing."""
THRESHOLD, OUT_OF_REACH = 0.6, 0.9
"""The benchmark always scores 0.75: it asks for the anchor, and for the anchor with a file that was never written."""
STEPS: tuple[str, ...] = (
    "raw_documents",
    "deduped_documents",
    "chunks",
    "embeddings",
    "staging_collection",
    "eval_report",
    "recall_gate",
    "production_collection",
)
_BODIES: dict[str, Callable[[Any, KnowledgeBase], Any]] = {
    body.__name__: body
    for body in (
        definition.op.compute_fn.decorated_fn  # type: ignore[union-attr]
        for definition in (*ALL_ASSETS, recall_gate)
    )
}
_LONG_PAST = 1_767_225_600  # 2026-01-01, so that version tokens are trusted at once
_quiet = logging.Logger("histories", logging.CRITICAL)


class Killed(BaseException):
    """The end of the process, as the code sees it."""


class ParseHere:
    """Parses in this process: the isolation has tests of its own, and starting a process takes half a second."""

    num_workers = 1

    def __init__(self, limits: ParseLimits | None = None, num_workers: int | None = None) -> None:
        self.limits = limits or ParseLimits()
        self.latencies = Latencies()

    def submit(self, parser: AnyParser, data: bytes, filename: str) -> "Future[ParsedText]":
        future: Future[ParsedText] = Future()
        try:
            future.set_result(parse_with(parser, data, filename))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Do nothing."""


class SmallKnowledgeBase(KnowledgeBase):
    """A knowledge base with an embedder made for tests."""

    test_embedder: Embedder

    def _build_embedder(self, name: str) -> Embedder:
        return self.test_embedder


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    Attributes:
        run_id: for a re-execution.
        failed_step: None after a success.
        kind: name of our error, "gate", "killed", or "" after a success. "held" if that left the candidate waiting.
        message: for a person.
    """

    run_id: str
    failed_step: str | None = None
    kind: str = ""
    message: str = ""
    cause: BaseException | None = None

    @property
    def succeeded(self) -> bool:
        return self.failed_step is None

    @property
    def is_held(self) -> bool:
        return self.kind == "held"

    def checked(self) -> "Outcome":
        if not self.succeeded:
            raise AssertionError(f"{self.failed_step} ended with {self.kind}: {self.message}") from self.cause
        return self


class World:
    """Two folders of documents, their settings, and the state of a knowledge base.

    Attributes:
        home: the paths of the documents are part of the payload, so worlds to compare have the same home.
        settings: overrides by field name. Change them as you like.
        embedder: of every refresh.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state_dir = home / "state"
        self.benchmark = home / "benchmark.jsonl"
        # Free, so a changed setting rebuilds without an approval.
        self.embedder = FakeEmbedder(batch_size=100, usd_per_million_tokens=0.0)
        self._parents: dict[str, str | None] = {}
        self.settings: dict[str, Any] = {
            "state_dir": self.state_dir,
            "sources_file": home / "sources.yaml",
            "benchmark_file": self.benchmark,
            "eval_threshold": THRESHOLD,
            "chunk_size": 16,
            "chunk_overlap": 2,
            "tokenizer": "wordllama",
            "embedding_model": "fake",
        }
        for source in SOURCES:
            (home / source).mkdir(parents=True)
        self.write(*ANCHORS[0], "the anchor of all")
        self.write(*ANCHORS[1], "the ground below")
        self.write_sources(SOURCES)
        questions = [["anchor.md"], ["anchor.md", "never_written.md"]]
        self.benchmark.write_text(
            "".join(json.dumps({"query": "the anchor", "expected_docs": names}) + "\n" for names in questions)
        )

    def write_sources(self, names: Sequence[str]) -> None:
        """Declare sources in this order."""
        self.settings["sources_file"].write_text(
            "sources:\n"
            + "".join(f"  {name}:\n    kind: filesystem\n    folder: {self.home / name}\n" for name in names)
        )

    # Documents

    def path(self, source: str, name: str) -> Path:
        return self.home / source / name

    def write(self, source: str, name: str, text: str | bytes) -> None:
        """Write a file. Its modified time follows from its text, so an edit undone leaves no trace."""
        data = text if isinstance(text, bytes) else text.encode()
        path = self.path(source, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        mtime = _LONG_PAST + int.from_bytes(hashlib.sha256(data.rpartition(b"---\n")[2]).digest()[:3])
        os.utime(path, (mtime, mtime))

    def move(self, source: str, name: str, to_source: str, to_name: str) -> None:
        target = self.path(to_source, to_name)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path(source, name).rename(target)

    def remove(self, source: str, name: str) -> None:
        self.path(source, name).unlink()

    # State

    @contextlib.contextmanager
    def knowledge_base(self, **overrides: Any) -> Iterator[SmallKnowledgeBase]:
        """Open new objects over the folders."""
        knowledge_base = SmallKnowledgeBase(self.load(**overrides))
        knowledge_base.test_embedder = self.embedder
        with (
            mock.patch("rag_assets.parsers.isolation.ParseWorkers", ParseHere),
            # Each index is ten files of a generation. They are for filters only.
            small_generations(num_payload_indexes=0),
        ):
            try:
                yield knowledge_base
            finally:
                knowledge_base.close()

    def load(self, **overrides: Any) -> Settings:
        return load_settings(**{**self.settings, **overrides})

    def production(self) -> ProductionState:
        with self.knowledge_base() as knowledge_base:
            return knowledge_base.vector_store.production_state()

    def lose(self, what: str) -> None:
        """Lose a part of the state that is only a cache: `ledger`, `texts` or `artifacts`."""
        if what == "ledger" and self.settings.get("redis_url"):
            import redis

            redis.Redis.from_url(self.settings["redis_url"]).flushall()
        elif what == "ledger":
            for path in self.state_dir.glob("ledger.sqlite*"):
                path.unlink()
        else:
            shutil.rmtree(self.state_dir / what, ignore_errors=True)

    # Runs

    def refresh(
        self,
        *,
        again: Outcome | None = None,
        until: str | None = None,
        ignoring_gate: bool = False,
        around: Callable[[str], AbstractContextManager[Any]] = nullcontext,
        **overrides: Any,
    ) -> Outcome:
        """Run all steps, as a Dagster run does: a transient error is retried twice.

        Args:
            again: re-execute this run from its failed step.
            until: die before this step.
            ignoring_gate: go on after a failed gate, as with `production_collection` materialized alone.
            around: entered with the name of each step, around it.
        """
        run_id = f"run{len(self._parents):05}"
        self._parents[run_id] = again.run_id if again else None
        first = STEPS.index(again.failed_step) if again and again.failed_step else 0
        step = STEPS[first]
        with self.knowledge_base(**overrides) as knowledge_base:
            result: Any = None
            try:
                for step in STEPS[first:]:
                    if step == until:
                        raise Killed
                    with around(step):
                        result = self._run(step, run_id, knowledge_base)
                    if step == "recall_gate" and not result.passed and not ignoring_gate:
                        return Outcome(run_id, step, "gate", str(result.description))
            except dg.Failure as failure:
                kind = str(failure.metadata[ERROR_KEY].value)
                return Outcome(run_id, step, kind, str(failure.description), failure)
            except Killed as end:
                return Outcome(run_id, step, "killed", cause=end)
            except Exception as error:
                return Outcome(run_id, step, type(error).__name__, str(error), error)
            finally:
                self._end(run_id, knowledge_base)
        held = result.metadata[OUTCOME_KEY] == Result.HELD
        return Outcome(run_id, kind="held" if held else "")

    def let_go_of_lease(self, outcome: Outcome) -> None:
        """End the lease of a run, as the death of its process does."""
        with self.knowledge_base() as knowledge_base:
            self._end(outcome.run_id, knowledge_base)

    def _run(self, step: str, run_id: str, knowledge_base: KnowledgeBase) -> Any:
        for attempt in itertools.count():
            context = SimpleNamespace(
                run=SimpleNamespace(
                    run_id=run_id, parent_run_id=self._parents[run_id], step_keys_to_execute=None
                ),
                job_def=SimpleNamespace(graph=SimpleNamespace(node_dict=_BODIES)),
                instance=SimpleNamespace(
                    is_ephemeral=True,
                    get_run_by_id=self._run_record,
                    managed_python_loggers=["root"],
                    add_run_tags=lambda *_: None,
                ),
                op_execution_context=SimpleNamespace(op=SimpleNamespace(name=step)),
                selected_asset_check_keys=frozenset(),
                retry_number=attempt,
                log=_quiet,
            )
            try:
                result = _BODIES[step](context, knowledge_base)
                # The gate yields its result, then fails the step.
                return next(result) if isinstance(result, Iterator) else result
            except dg.RetryRequested:
                continue
        raise AssertionError

    def _run_record(self, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(run_id=run_id, parent_run_id=self._parents.get(run_id), status=None)

    def _end(self, run_id: str, knowledge_base: KnowledgeBase) -> None:
        """Let go of the lease, as the death of a process does."""
        with contextlib.suppress(Exception, Killed):
            knowledge_base.ledger.release_lease(run_id)

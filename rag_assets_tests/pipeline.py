"""One machine with documents, state and a Dagster instance, for tests of the whole pipeline in one process.

The real definitions run on a real, persistent Dagster instance. Each run is a reconstructable job, as on the
command line and in the UI, and therefore reads the current environment.
"""

import contextlib
import io
import itertools
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rag_assets.cli import main as cli
from rag_assets.definitions import build_definitions
from rag_assets.disk.content_hash import content_sha256
from rag_assets.errors import RagAssetsError
from rag_assets.fingerprint import short_hash
from rag_assets.generations.verification import check_every_point
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Point
from rag_assets.settings import Settings, load_settings
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.quick_dagster import close_connections

NUM_DOCUMENTS = 20
THRESHOLD = "0.5"
_FIRST_MTIME = 1_767_225_600  # 2026-01-01. Version tokens of old files are trusted at once.
_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "ren",
    "tu",
    "sa",
    "vo",
    "pel",
    "dri",
    "nox",
    "bem",
    "zu",
    "far",
    "gil",
    "hes",
    "wy",
)
_JOB = "selected"


def words(seed: object, count: int) -> list[str]:
    """Return invented words: the same for the same seed, rarely shared by two seeds."""
    source = random.Random(str(seed))
    return ["".join(source.choices(_SYLLABLES, k=3)) for _ in range(count)]


def text_about(topic: object, paragraphs: int = 4) -> str:
    """Return a Markdown document of a few chunks, one per paragraph."""
    body = "\n\n".join(
        f"{' '.join(words((topic, number), 24)).capitalize()}." for number in range(paragraphs)
    )
    return f"# About {' '.join(words(topic, 2))}\n\n{body}\n"


def page(*edited: int) -> str:
    """Return 200 invented words, some of them replaced: pages with few edits are near-duplicates."""
    text = words("page", 200)
    for position in edited:
        text[position] = f"edited{position}"
    return " ".join(text)


def question_about(topic: object) -> str:
    return " ".join(words((topic, 1), 24)[3:8])


@dataclass(frozen=True)
class Run:
    """The results of a run, as in the UI.

    Attributes:
        failures: step -> message for people.
        metadata: asset -> key -> value.
        gate_passed: None if the gate was not evaluated.
        warnings: failed check that blocks nothing -> description.
    """

    run_id: str
    success: bool
    steps: tuple[str, ...]
    failures: dict[str, str]
    outcomes: dict[str, str]
    metadata: dict[str, dict[str, Any]]
    data_versions: dict[str, str]
    gate_passed: bool | None
    gate_description: str
    warnings: dict[str, str]

    @property
    def message(self) -> str:
        return "; ".join(self.failures.values())

    def checked(self) -> "Run":
        assert self.success, self.message or self.gate_description
        return self


def job_for(assets: Sequence[str], with_checks: bool) -> dg.JobDefinition:
    """Return a job to materialize these assets."""
    return _job_for(tuple(assets), with_checks)


@cache
def _job_for(assets: tuple[str, ...], with_checks: bool) -> dg.JobDefinition:
    """Definitions are kept: only the executor depends on the settings."""
    selection = dg.AssetSelection.assets(*assets) if assets else dg.AssetSelection.all()
    job = dg.define_asset_job(_JOB, selection if with_checks else selection.without_checks())
    definitions = dg.Definitions.merge(build_definitions(load_settings()), dg.Definitions(jobs=[job]))
    return definitions.resolve_job_def(_JOB)


@cache
def job_named(name: str) -> dg.JobDefinition:
    """Return a job of the code location."""
    return build_definitions(load_settings()).resolve_job_def(name)


class Pipeline:
    """A knowledge base of `NUM_DOCUMENTS` small documents in a folder of its own.

    Each is named `topicNN.md`, and has a question in the benchmark. One more question also expects a missing
    document, to keep Recall@5 just below 1.
    """

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, *, dagster_home: Path | None = None
    ) -> None:
        """Configure the pipeline, without running anything.

        Args:
            dagster_home: folder with a dagster.yaml. None: a test instance, with one file for all runs.
        """
        self.home = home
        self._dagster_home = dagster_home
        self.documents = home / "documents"
        self.state_dir = home / "state"
        self.benchmark = home / "benchmark.jsonl"
        self._monkeypatch = monkeypatch
        self._instance: dg.DagsterInstance | None = None
        self._mtimes = itertools.count(_FIRST_MTIME, 60)
        for field in Settings.model_fields.values():
            monkeypatch.delenv(str(field.alias), raising=False)
        monkeypatch.setattr("rag_assets.defs.asset_step._RETRY_SECONDS", 0)
        home.mkdir(parents=True, exist_ok=True)
        close_connections()
        monkeypatch.chdir(home)
        self.configure(
            RAG_DOCUMENTS_DIR=str(self.documents),
            RAG_STATE_DIR=str(self.state_dir),
            RAG_BENCHMARK_FILE=str(self.benchmark),
            RAG_EVAL_THRESHOLD=THRESHOLD,
            RAG_CHUNK_SIZE="64",
            RAG_CHUNK_OVERLAP="8",
        )

    def close(self) -> None:
        if self._instance is not None:
            self._instance.dispose()
            self._instance = None
        close_connections()

    # Documents and configuration

    def configure(self, **environment: str) -> None:
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self._monkeypatch.delenv(name, raising=False)

    def populate(self) -> None:
        for number in range(NUM_DOCUMENTS):
            self.write(f"topic{number:02}.md", text_about(number))
        self.write_benchmark()

    def write_benchmark(self, *more: dict[str, Any]) -> None:
        lines = [
            {"query": question_about(number), "expected_docs": [f"topic{number:02}.md"]}
            for number in range(NUM_DOCUMENTS)
        ]
        lines.append({"query": question_about(0), "expected_docs": ["topic00.md", "never_written.md"]})
        self.benchmark.write_text("".join(json.dumps(line) + "\n" for line in (*lines, *more)))

    def write_benchmark_for(self, numbers: Iterable[int]) -> None:
        """Ask only for these documents."""
        lines = (
            {"query": question_about(number), "expected_docs": [f"topic{number:02}.md"]} for number in numbers
        )
        self.benchmark.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def write(self, path: str, content: str | bytes, folder: Path | None = None) -> Path:
        """Write a document with an old modification time, different for each document."""
        target = (folder or self.documents) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        self.touch(target)
        return target

    def touch(self, target: Path) -> None:
        mtime = next(self._mtimes)
        os.utime(target, (mtime, mtime))

    def remove(self, *paths: str) -> None:
        for path in paths:
            (self.documents / path).unlink()

    # Runs

    @property
    def instance(self) -> dg.DagsterInstance:
        if self._instance is None and self._dagster_home is not None:
            self._instance = dg.DagsterInstance.from_config(str(self._dagster_home))
        if self._instance is None:
            folder = self.home / "dagster"
            folder.mkdir(exist_ok=True)
            self._instance = dg.DagsterInstance.local_temp(
                str(folder),
                overrides={
                    "telemetry": {"enabled": False},
                    # One file for all runs. Dagster's default creates a file with all tables for each run.
                    "event_log_storage": {
                        "module": "dagster._core.storage.event_log",
                        "class": "ConsolidatedSqliteEventLogStorage",
                        "config": {"base_dir": str(folder / "history")},
                    },
                    "compute_logs": {
                        "module": "dagster._core.storage.noop_compute_log_manager",
                        "class": "NoOpComputeLogManager",
                    },
                },
            )
        return self._instance

    def refresh(self, **options: Any) -> Run:
        """Materialize all assets."""
        return self.materialize(**options)

    def materialize(
        self,
        *assets: str,
        with_checks: bool = True,
        launchpad: dict[str, Any] | None = None,
        retry_of: Run | None = None,
    ) -> Run:
        """Run a selection, all assets if none is named.

        Args:
            launchpad: fields of the knowledge base, set in the Launchpad for this run.
            retry_of: run to re-execute from its failure. Give the same selection.
        """
        job = dg.build_reconstructable_job(
            "rag_assets_tests.pipeline", "job_for", (list(assets), with_checks)
        )
        config = {"resources": {"knowledge_base": {"config": launchpad}}} if launchpad else None
        options = dg.ReexecutionOptions.from_failure(retry_of.run_id, self.instance) if retry_of else None
        with dg.execute_job(job, self.instance, run_config=config, reexecution_options=options) as result:
            return _run_of(result)

    def execute_again(self, run_id: str) -> Run:
        """Re-execute a run of the code location from its failure. Job and steps are those of the run."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        job = dg.build_reconstructable_job("rag_assets_tests.pipeline", "job_named", (run.job_name,))
        options = dg.ReexecutionOptions.from_failure(run_id, self.instance)
        with dg.execute_job(job, self.instance, reexecution_options=options) as result:
            return _run_of(result)

    # Results

    def gate_of(self, run: Run) -> dg.AssetCheckEvaluation:
        """Return the judgment of the gate in a run."""
        records = self.instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        events = [record.event_log_entry.dagster_event for record in records]
        (found,) = [
            event.asset_check_evaluation_data
            for event in events
            if event is not None and event.asset_check_evaluation_data.check_name == "recall_gate"
        ]
        return found

    @contextlib.contextmanager
    def knowledge_base(self) -> Iterator[KnowledgeBase]:
        knowledge_base = KnowledgeBase(load_settings())
        try:
            yield knowledge_base
        finally:
            knowledge_base.close()

    def production(self) -> ProductionState:
        with self.knowledge_base() as knowledge_base:
            return knowledge_base.vector_store.production_state()

    def generations(self) -> list[str]:
        with self.knowledge_base() as knowledge_base:
            return knowledge_base.vector_store.generations()

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run `rag-assets`, and return exit code, output and errors."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = cli.main(arguments)
        return code, output.getvalue(), errors.getvalue()

    def succeed(self, *arguments: str) -> str:
        code, output, errors = self.command(*arguments)
        # These two exit by what they found.
        found = arguments[0] in ("status", "plan") and output
        assert code == 0 or found, output + errors
        return output

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run a command with `--json`."""
        return json.loads(self.succeed(*arguments))

    def export(self) -> str:
        """Return the export, "" while nothing is in production: then the command ends with an error."""
        return self.succeed("export") if self.production().production else ""

    def served(self) -> set[str]:
        """Return the ids of all documents in production."""
        return {json.loads(line)["document_id"] for line in self.export().splitlines()}

    def status(self) -> dict[str, Any]:
        return json.loads(self.succeed("status", "--json"))

    def search(self, question: str) -> list[dict[str, Any]]:
        return json.loads(self.succeed("search", question, "--json"))["hits"]

    def points(self) -> dict[str, Point]:
        """Return every point of production, with vectors, by id."""
        with self.knowledge_base() as knowledge_base:
            production = knowledge_base.vector_store.production_state().production
            assert production is not None
            reader = knowledge_base.vector_store.read(production)
            try:
                return {point.id: point for batch in reader.scroll(with_vectors=True) for point in batch}
            finally:
                reader.close()

    def problems_of_production(self) -> tuple[str, ...]:
        """Compare every point of production with the sealed digest, and return all problems."""
        with self.knowledge_base() as knowledge_base:
            try:
                manifest = knowledge_base.production_manifest()
                if manifest is None:
                    return ("nothing is in production",)
                return check_every_point(
                    knowledge_base.vector_store, manifest, short_hash(manifest.fingerprint)
                ).problems
            except RagAssetsError as error:
                return (str(error),)

    def points_built_from_nothing(self) -> dict[str, Point]:
        """Return the points of a first refresh over the same documents with another state folder."""
        beside = self.home / "beside"
        shutil.rmtree(beside, ignore_errors=True)
        state_dir = os.environ["RAG_STATE_DIR"]
        self.configure(RAG_STATE_DIR=str(beside))
        try:
            self.refresh().checked()
            return self.points()
        finally:
            self.configure(RAG_STATE_DIR=state_dir)

    def files_of_production(self) -> dict[str, str]:
        """Return a SHA-256 of every file of the embedded vector store. Holes, most of each file, are skipped."""
        root = self.state_dir / "vector_store"
        hashes: dict[str, str] = {}
        for path in sorted(root.rglob("*")):
            # `load()` of the engine rewrites its configuration, every measurement the digest of its report, and every
            # reading of the sources its number.
            changing = ("edge_config.json", "lock", "report.json", "readings.json")
            if path.is_file() and path.name not in changing:
                hashes[str(path.relative_to(root))] = content_sha256(path)
        return hashes


def copy_folder(source: Path, target: Path) -> None:
    """Copy with modification times, and with the holes of sparse files."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)


def token_in(message: str) -> str:
    """Return the token in the message of a refused deletion."""
    found = re.search(r"rag-assets approve ([0-9a-f]{16})", message)
    assert found, message
    return found[1]


def assert_same_points(points: dict[str, Point], others: dict[str, Point]) -> None:
    """Ids and payloads are equal, except `indexed_at` and `refresh_id`. Vectors differ by at most 1e-6."""
    assert points.keys() == others.keys()
    for identity, point in points.items():
        other = others[identity]
        assert _comparable(point) == _comparable(other)
        assert point.vector is not None
        assert other.vector is not None
        assert abs(point.vector - other.vector).max() <= 1e-6
        assert point.sparse is not None
        assert other.sparse is not None
        assert point.sparse.indices == other.sparse.indices
        assert point.sparse.values == pytest.approx(other.sparse.values, rel=1e-6)


def _comparable(point: Point) -> dict[str, Any]:
    return {key: value for key, value in point.payload.items() if key not in ("indexed_at", "refresh_id")}


def _run_of(result: dg.JobExecutionResult) -> Run:
    failures: dict[str, str] = {}
    outcomes: dict[str, str] = {}
    metadata: dict[str, dict[str, Any]] = {}
    data_versions: dict[str, str] = {}
    steps: list[str] = []
    gate_passed, gate_description = None, ""
    warnings: dict[str, str] = {}
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.STEP_START:
            steps.append(str(event.step_key))
        elif event.is_step_failure:
            declared = event.step_failure_data.user_failure_data
            error = event.step_failure_data.error
            said = declared.description if declared else (error.message if error else "")
            failures[str(event.step_key)] = str(said)
            outcome = declared.metadata.get("outcome") if declared else None
            outcomes[str(event.step_key)] = str(outcome.value) if outcome else ""
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            asset = materialization.asset_key.to_user_string()
            metadata[asset] = {key: value.value for key, value in materialization.metadata.items()}
            data_versions[asset] = (materialization.tags or {}).get("dagster/data_version", "")
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            if evaluation.check_name == "recall_gate":
                gate_passed, gate_description = evaluation.passed, evaluation.description or ""
            elif not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.WARN:
                warnings[evaluation.check_name] = evaluation.description or ""
    return Run(
        run_id=result.run_id,
        success=result.success,
        steps=tuple(steps),
        failures=failures,
        outcomes=outcomes,
        metadata=metadata,
        data_versions=data_versions,
        gate_passed=gate_passed,
        gate_description=gate_description,
        warnings=warnings,
    )

"""Pipelines in every state of a knowledge base.

Each state is reached once per session, and copied for every test beginning in it. All pipelines live at one path,
because the stored locations hold the paths of documents.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag_assets.parsers import isolation
from rag_assets_tests.kept_workers import kept_workers
from rag_assets_tests.pipeline import THRESHOLD, Pipeline, Run, copy_folder, page, text_about

CHANGED = "topic03.md"


def _reach_empty(pipeline: Pipeline) -> Run | None:
    pipeline.populate()
    return None


def _reach_promoted(pipeline: Pipeline) -> Run | None:
    """Promote two refreshes, to have a generation for a rollback."""
    pipeline.refresh().checked()
    pipeline.write(CHANGED, text_about("second version"))
    return pipeline.refresh().checked()


def _reach_similar(pipeline: Pipeline) -> Run | None:
    """Add three nearly equal documents. The oldest is b.md."""
    pipeline.write("b.md", page())
    pipeline.write("a.md", page(50))
    pipeline.write("c.md", page(120))
    return pipeline.refresh().checked()


def _reach_sample(pipeline: Pipeline) -> Run | None:
    """Refresh the sample knowledge base, and refresh it again after every kind of traced change."""
    repository = Path(__file__).parents[2]
    shutil.copytree(repository / "data" / "documents", pipeline.documents)
    shutil.copy(repository / "eval_benchmarks" / "benchmark.jsonl", pipeline.benchmark)
    for path in sorted(pipeline.documents.rglob("*.*")):
        pipeline.touch(path)
    pipeline.refresh().checked()
    pipeline.write("hr/hr_handbook.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    pipeline.write("hr/torn.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    pipeline.remove("it/vpn_setup.html")
    (pipeline.documents / "it" / "software_request.txt").rename(pipeline.documents / "it" / "software.txt")
    pipeline.write("hr/copy.md", (pipeline.documents / "hr" / "learning_budget.md").read_bytes())
    return pipeline.refresh().checked()


def _reach_gate_failed(pipeline: Pipeline) -> Run | None:
    pipeline.write(CHANGED, text_about("third version"))
    pipeline.configure(RAG_EVAL_THRESHOLD="0.999")
    run = pipeline.refresh()
    pipeline.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    assert not run.success
    return run


def _reach_rolled_back(pipeline: Pipeline) -> Run | None:
    pipeline.succeed("rollback")
    return None


STATES: dict[str, tuple[str | None, Callable[[Pipeline], Run | None]]] = {
    "empty": (None, _reach_empty),
    "promoted": ("empty", _reach_promoted),
    "similar": ("promoted", _reach_similar),
    "sample": (None, _reach_sample),
    "gate failed": ("promoted", _reach_gate_failed),
    "rolled back": ("promoted", _reach_rolled_back),
}


class Workbench:
    """The only path of all pipelines of this session, and the states reached so far."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self._states = root / "states"
        self._states.mkdir()
        self._last_runs: dict[str, Run | None] = {}

    def pipeline_in(self, state: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Pipeline, Run | None]:
        """Return a pipeline in a state, and the run leading there."""
        kept = self._states / state
        if state not in self._last_runs:
            before, reach = STATES[state]
            if before is None:
                copy_folder(self._empty_folder(), self.home)
            else:
                self.pipeline_in(before, monkeypatch)[0].close()
            pipeline = Pipeline(self.home, monkeypatch)
            self._last_runs[state] = reach(pipeline)
            pipeline.close()
            copy_folder(self.home, kept)
        copy_folder(kept, self.home)
        return Pipeline(self.home, monkeypatch), self._last_runs[state]

    def _empty_folder(self) -> Path:
        folder = self._states / "nothing"
        folder.mkdir(exist_ok=True)
        return folder


@pytest.fixture(scope="session", autouse=True)
def _with_quick_dagster() -> Iterator[None]:
    from rag_assets_tests.quick_dagster import quick_dagster

    with quick_dagster():
        yield


@pytest.fixture(autouse=True)
def _with_small_generations(one_index: None) -> None:
    """Write small generations: these tests are about refreshes. Those in `processes/` write all indexes."""


@pytest.fixture(autouse=True)
def _with_kept_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse in processes that serve all tests. Each starts in a tenth of a second."""
    monkeypatch.setattr(isolation, "ParseWorkers", kept_workers)


@pytest.fixture(scope="session")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("scenarios"))


@pytest.fixture
def pipeline_in(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Pipeline, Run | None]]]:
    made: list[Pipeline] = []

    def make(state: str) -> tuple[Pipeline, Run | None]:
        pipeline, run = workbench.pipeline_in(state, monkeypatch)
        made.append(pipeline)
        return pipeline, run

    yield make
    for pipeline in made:
        pipeline.close()


@pytest.fixture
def empty(pipeline_in: Callable[[str], tuple[Pipeline, Run | None]]) -> Pipeline:
    """Documents and a benchmark, never refreshed."""
    return pipeline_in("empty")[0]


@pytest.fixture
def promoted(pipeline_in: Callable[[str], tuple[Pipeline, Run | None]]) -> Pipeline:
    """Two refreshes were promoted."""
    return pipeline_in("promoted")[0]


@pytest.fixture
def similar(pipeline_in: Callable[[str], tuple[Pipeline, Run | None]]) -> Pipeline:
    """Production with three nearly equal documents."""
    return pipeline_in("similar")[0]


@pytest.fixture
def sample(pipeline_in: Callable[[str], tuple[Pipeline, Run | None]]) -> Pipeline:
    """The sample knowledge base after two refreshes. The second found changes of every kind."""
    return pipeline_in("sample")[0]


@pytest.fixture
def rolled_back(pipeline_in: Callable[[str], tuple[Pipeline, Run | None]]) -> Pipeline:
    return pipeline_in("rolled back")[0]

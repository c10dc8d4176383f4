"""The FastAPI service of docs/querying.md: several workers, a promotion, their memory."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from rag_assets_tests.optional_packages import require
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.test_querying_page import BENCHMARK, PAGE, blocks, copy_sample

pytestmark = pytest.mark.slow

WORKERS = 2
VACATION = "How many days of vacation do I get?"


@dataclass(frozen=True)
class Service:
    """The running service on the sample.

    Attributes:
        resident_before: resident memory of each worker before its first question, in MB.
    """

    url: str
    pipeline: Pipeline
    workers: tuple[psutil.Process, ...]
    resident_before: tuple[float, ...]

    def ask(self, question: str, times: int = 1) -> list[list[dict[str, Any]]]:
        """Ask over a new connection each time, so that every worker gets a share."""
        answers = [httpx2.get(f"{self.url}/search", params={"question": question}) for _ in range(times)]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json() for answer in answers]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    require("fastapi", "uvicorn")
    [program] = [block.program for block in blocks() if "FastAPI(" in block.program]
    folder = tmp_path_factory.mktemp("service")
    (folder / "app.py").write_text(program, encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        pipeline = Pipeline(folder / "home", monkeypatch)
        copy_sample(pipeline.documents)
        pipeline.configure(RAG_BENCHMARK_FILE=str(BENCHMARK))
        pipeline.unset("RAG_EVAL_THRESHOLD", "RAG_CHUNK_SIZE", "RAG_CHUNK_OVERLAP")
        pipeline.refresh().checked()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(folder)]
        process = subprocess.Popen([*command, "--port", str(port), "--workers", str(WORKERS)])
        try:
            workers = _started(process, f"http://127.0.0.1:{port}")
            yield Service(
                f"http://127.0.0.1:{port}", pipeline, workers, tuple(_resident(worker) for worker in workers)
            )
        finally:
            process.terminate()
            process.wait(timeout=60)
            pipeline.close()


def _started(process: "subprocess.Popen[bytes]", url: str) -> tuple[psutil.Process, ...]:
    """Wait for an answer, and return the workers."""
    while True:
        assert process.poll() is None
        children = psutil.Process(process.pid).children()
        workers = tuple(child for child in children if "resource_tracker" not in " ".join(child.cmdline()))
        try:
            if len(workers) == WORKERS and httpx2.get(f"{url}/docs").status_code == 200:
                return workers
        except httpx2.TransportError:
            time.sleep(0.1)


def _resident(worker: psutil.Process) -> float:
    return worker.memory_info().rss / 1e6


def _own(worker: psutil.Process) -> float:
    return worker.memory_full_info().uss / 1e6


def _stated(pattern: str) -> float:
    """Return a number of megabytes on the page."""
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    found = re.search(pattern, text)
    assert found, pattern
    return float(found[1])


def test_every_worker_answers_with_text_score_and_link(service: Service) -> None:
    answers = service.ask(VACATION, 40)
    assert all(answer == answers[0] for answer in answers)
    best = answers[0][0]
    assert "27 days of vacation" in best["text"]
    assert (best["title"], best["path"]) == ("HR Handbook", "hr/hr_handbook.pdf")
    assert best["link"] == (service.pipeline.documents / "hr" / "hr_handbook.pdf").as_uri()
    assert 0 < best["score"] <= 1


def test_the_memory_of_a_worker_is_about_what_the_page_says(service: Service) -> None:
    service.ask(VACATION, 40)
    for worker, before in zip(service.workers, service.resident_before, strict=True):
        assert before == pytest.approx(_stated(r"takes (\d+) MB before its first question"), rel=0.5)
        assert _resident(worker) == pytest.approx(_stated(r"Afterwards it takes (\d+) MB"), rel=0.5)
        assert _own(worker) == pytest.approx(_stated(r"of which (\d+) MB are its own"), rel=0.5)


def test_a_promotion_reaches_every_worker_with_its_next_question(service: Service) -> None:
    service.ask(VACATION, 20)
    service.pipeline.write("facilities/sauna.md", "# Sauna\n\nThe sauna is on the ninth floor.\n")
    service.pipeline.refresh().checked()
    for answer in service.ask("On which floor is the sauna?", 40):
        assert answer[0]["path"] == "facilities/sauna.md"


def test_without_production_the_service_asks_to_retry_and_goes_on(service: Service, tmp_path: Path) -> None:
    generations = service.pipeline.state_dir / "vector_store" / "knowledge_base" / "generations"
    moved = tmp_path / "moved"
    generations.rename(moved)
    try:
        asked = [httpx2.get(f"{service.url}/search", params={"question": VACATION}) for _ in range(10)]
    finally:
        moved.rename(generations)
    assert {(answer.status_code, answer.json()["detail"]) for answer in asked} == {(503, "retry later")}
    assert service.ask(VACATION, 10)[0][0]["path"] == "hr/hr_handbook.pdf"

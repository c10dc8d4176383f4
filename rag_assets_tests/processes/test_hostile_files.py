"""Broken and hostile files among good ones, with the real command line. The good files are not affected."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from rag_assets.cli.exit_codes import ExitCode
from rag_assets.errors import QuarantineReason
from rag_assets_tests.hostile_files import bombs, broken_files
from rag_assets_tests.processes.scene import Scene, materialize, new_scene

NUM_SENTINELS = 20
_MOST_MEMORY_BYTES = 2_000_000_000
_CHUNKS = {"RAG_CHUNK_SIZE": "512", "RAG_CHUNK_OVERLAP": "50"}


def word_of(number: int) -> str:
    """Return a word of this sentinel alone."""
    return f"quaggavint{chr(97 + number)}"


def sentinel(number: int) -> str:
    word = word_of(number)
    return f"# The {word} procedure\n\nWhoever needs a {word} asks the desk on floor {number}, which keeps one {word} ready.\n"


class MemoryWatch:
    """Maximum memory of a process and all its descendants together, measured many times per second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.most_bytes = 0
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.most_bytes = max(self.most_bytes, sum(_resident_bytes(pid) for pid in _family(self._pid)))

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self.most_bytes


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += (task / "children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(member for child in set(children) for member in _family(int(child)))]


def _resident_bytes(pid: int) -> int:
    """Return its own memory, without mapped files: the system can drop their pages."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(
        int(kilobytes) * 1024 for kilobytes in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+) kB", status, re.M)
    )


def command(scene: Scene, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "rag_assets.cli.main", *arguments],
        cwd=scene.home,
        env=scene.environment(),
        capture_output=True,
    )
    assert done.returncode in (ExitCode.OK, ExitCode.DEGRADED), done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def hostile_scene(tmp_path: Path) -> Scene:
    scene = new_scene(tmp_path)
    for number in range(NUM_SENTINELS):
        (scene.documents / f"sentinel{number:02}.md").write_text(sentinel(number), encoding="utf-8")
    return scene


def refresh(scene: Scene, **environment: str) -> tuple[str, int]:
    """Return the output of a refresh, and its maximum memory."""
    process = materialize(scene, **_CHUNKS, **environment)
    watch = MemoryWatch(process.pid)
    output = process.communicate(timeout=900)[0]
    memory = watch.stop()
    assert process.returncode == 0, output[-5000:]
    return output, memory


def assert_nothing_else_is_affected(scene: Scene, names: set[str]) -> dict[str, str]:
    """Every file is indexed or quarantined with a reason, and every sentinel is found. Returns name -> reason."""
    quarantined = {
        entry["document_id"].partition(":")[2]: entry
        for entry in command(scene, "status", "--json")["last_refresh"]["quarantined"]
    }
    knowledge_base = scene.knowledge_base()
    try:
        production = knowledge_base.vector_store.production_state().production
        served = {state.location.path for state in knowledge_base.documents_of(production)}
        with knowledge_base.retriever() as retriever:
            for number in range(NUM_SENTINELS):
                hits = retriever.search(f"who keeps a {word_of(number)} ready?")
                assert hits[0].locations[0].path == f"sentinel{number:02}.md"
    finally:
        knowledge_base.close()
    assert names <= served | set(quarantined)
    for name, entry in quarantined.items():
        assert entry["reason"] in get_args(QuarantineReason), name
        assert entry["detail"], name
    return {name: entry["reason"] for name, entry in quarantined.items()}


@pytest.mark.timeout(900)
def test_hundreds_of_broken_files_affect_nothing_else(hostile_scene: Scene) -> None:
    files = broken_files()
    assert len(files) >= 300
    for name, data in files.items():
        (hostile_scene.documents / name).write_bytes(data)
    output, memory = refresh(hostile_scene, RAG_PARSE_SECONDS="20")
    reasons = assert_nothing_else_is_affected(hostile_scene, set(files))
    assert len(set(reasons.values())) >= 3
    assert "Traceback" not in output
    assert memory < _MOST_MEMORY_BYTES


@pytest.mark.timeout(900)
def test_bombs_stay_within_the_limits(hostile_scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    files = bombs()
    for name, data in files.items():
        (hostile_scene.documents / name).write_bytes(data)
    documents = hostile_scene.documents
    with (documents / "two-hundred-megabytes.txt").open("wb") as file:
        for _ in range(200):
            file.write(b"all work and no play " * 50_000)
    with (documents / "too-large.txt").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    os.mkfifo(documents / "pipe.txt")
    (documents / "loop").symlink_to(documents)
    (documents / "out.txt").symlink_to("/etc/passwd")
    monkeypatch.chdir(documents)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.txt")
        started = time.monotonic()
        output, memory = refresh(hostile_scene, RAG_PARSE_SECONDS="3")
    reasons = assert_nothing_else_is_affected(
        hostile_scene, {*files, "two-hundred-megabytes.txt", "too-large.txt"}
    )
    print(f"{time.monotonic() - started:.0f} s, {memory / 1e6:.0f} MB, {reasons}")
    assert reasons["two-hundred-megabytes.txt"] == reasons["too-large.txt"] == "too_large"
    assert reasons["deflate-bomb.docx"] == "too_large"
    assert "Traceback" not in output
    assert memory < _MOST_MEMORY_BYTES
    assert not list(hostile_scene.home.rglob("escaped.txt"))

"""The benchmarks of the program do what they say; how fast anything is, is not asserted."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rag_assets.settings import Settings
from rag_assets_tests.fake_openai import FakeOpenAI

SCRIPTS = Path(__file__).parents[1] / "eval_benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_embedded_store_and_local_mode_are_asked_the_same_and_answer_the_same(tmp_path: Path) -> None:
    script = load("vector_stores")
    points, questions = script.make_points(300, 16), script.make_questions(5, 16)
    ours = script.measure(script.Embedded(tmp_path / "ours"), points, questions)
    for local in (script.LocalMode(None), script.LocalMode(tmp_path / "theirs")):
        theirs = script.measure(local, points, questions)
        assert ours.dense_answers == theirs.dense_answers
        assert ours.words_answers == theirs.words_answers
    assert all(len(answer) == script.LIMIT for answer in ours.dense_answers)


def test_an_overhead_is_not_measured_on_a_run_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load("refresh_overhead")
    # A refresh is measured with the settings of the benchmark, not with those of whoever runs it.
    for field in Settings.model_fields.values():
        monkeypatch.setenv(str(field.alias), "spoiled")
    folder = script.new_folder(tmp_path)
    script.materialize(script.EMPTY, folder)
    assert "spoiled" not in script._environment().values()
    with pytest.raises(SystemExit, match="no_such_module"):
        script.materialize("no_such_module", folder)


class SideBySide:
    """The runner, as the harness calls it."""

    def __init__(self, folder: Path, server: FakeOpenAI) -> None:
        self.corpus = folder / "corpus"
        self.corpus.mkdir()
        self._folder = folder
        self._server = server

    def sync(self, *options: str) -> dict[str, Any]:
        output = self._run("sync", "--base-url", self._server.base_url, *options)
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        return found

    def dump(self) -> dict[str, str]:
        """Return what stands in production: path -> text, its chunks joined."""
        out = self._folder / "dump.jsonl"
        self._run("dump", "--out", str(out))
        found: dict[str, str] = {}
        for line in map(json.loads, out.read_text().splitlines()):
            found[line["source"]] = found.get(line["source"], "") + line["text"]
        return found

    def _run(self, command: str, *options: str) -> str:
        arguments = ["--corpus", str(self.corpus), "--state", str(self._folder / "state")]
        done = subprocess.run(
            [sys.executable, str(SCRIPTS / "side_by_side.py"), command, *arguments, *options],
            # The tokenizer that is always there: tiktoken's vocabulary may have to be fetched.
            env={**os.environ, "OPENAI_API_KEY": self._server.api_key, "RAG_TOKENIZER": "wordllama"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


def test_the_side_by_side_runner_brings_production_to_the_state_of_the_corpus(tmp_path: Path) -> None:
    with FakeOpenAI() as server:
        runner = SideBySide(tmp_path, server)
        texts = {f"{name}.txt": f"The {name} is painted {name} and weighs little.\n" for name in "abcdefgh"}
        for path, text in texts.items():
            (runner.corpus / path).write_text(text)
        assert set(runner.sync()["steps_s"]) >= {"raw_documents", "production_collection"}
        assert runner.dump() == {path: text.strip() for path, text in texts.items()}
        (runner.corpus / "a.txt").unlink()
        (runner.corpus / "b.txt").write_text("Something else.\n")
        asked, probes = len(server.requests), server.probes
        steps = runner.sync("--without-dagster")["steps_s"]
        assert len(steps) == 8
        # The model is compared with production at the start, and again before the candidate is measured.
        assert server.probes == probes + 2
        assert len(server.requests) == asked + 1 + 2
        remaining = {path: text.strip() for path, text in texts.items() if path != "a.txt"}
        assert runner.dump() == {**remaining, "b.txt": "Something else."}

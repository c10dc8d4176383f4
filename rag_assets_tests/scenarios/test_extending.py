"""A parser and a chunker are one new file each, a metric is one function, each with one line in a registry.

docs/how-to.md says so. The new code is written below, and the registries get their lines by `monkeypatch`. Nothing else
is touched, and one refresh uses all three.
"""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from rag_assets.chunkers.registry import CHUNKERS
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.parsers import registry
from rag_assets_tests.pipeline import Pipeline, text_about

PARSER = r'''
from rag_assets.records import ParsedDocument


class LogParser:
    """Log files: the messages, without their time stamps."""

    name = "log"
    version = "1"
    suffixes: tuple[str, ...] = (".log",)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        lines = data.decode("utf-8", "replace").splitlines()
        return ParsedDocument("\n".join(line.partition(" ")[2] for line in lines), title=filename)
'''

CHUNKER = '''
from collections.abc import Sequence

from rag_assets.text.tokenizers import Tokenizer
from rag_assets.chunkers.token_window import TokenWindowChunker
from rag_assets.records import ChunkSpan


class ThirdsChunker:
    """Windows of a third of the size, without overlap."""

    name = "thirds"
    version = "1"

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int) -> None:
        self._windows = TokenWindowChunker(tokenizer, size // 3, 0)

    def chunk(self, texts: Sequence[str]) -> list[list[ChunkSpan]]:
        return self._windows.chunk(texts)
'''

METRIC = '''
from collections.abc import Hashable, Sequence, Set


def precision_at_1(ranked: Sequence[Hashable], relevant: Set[Hashable]) -> float:
    """1 if the first document is relevant, else 0."""
    return float(bool(ranked) and ranked[0] in relevant)
'''


def new_file(folder: Path, name: str, content: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(content)
    return importlib.import_module(name)


def test_a_parser_a_chunker_and_a_metric_each_take_one_line_in_a_registry(
    empty: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the processes that parse
    log = new_file(tmp_path, "new_log", PARSER)
    thirds = new_file(tmp_path, "new_thirds", CHUNKER)
    precision = new_file(tmp_path, "new_precision", METRIC)
    monkeypatch.setattr(registry, "PARSERS", (*registry.PARSERS, log.LogParser()))
    monkeypatch.setitem(CHUNKERS, "thirds", thirds.ThirdsChunker)
    monkeypatch.setitem(METRICS, "precision_at_1", precision.precision_at_1)

    lines = (f"12:00:{number:02} {line}\n" for number, line in enumerate(text_about("log").splitlines()))
    empty.write("server.log", "".join(lines))
    empty.configure(RAG_CHUNKER="thirds")
    run = empty.refresh().checked()

    assert "filesystem:server.log" in empty.served()
    payloads = [point.payload for point in empty.points().values()]
    assert not any("12:00:0" in payload["text"] for payload in payloads)
    assert max(payload["token_count"] for payload in payloads) <= 64 // 3
    report = run.metadata["eval_report"]
    assert 0.8 <= report["precision_at_1"] <= 1
    assert "precision_at_1" in [row.data["metric"] for row in report["scores"].records]

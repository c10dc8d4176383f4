"""Runs every Python block of docs/querying.md in order, on the sample documents in a store like the server's."""

import contextlib
import io
import os
import re
import secrets
import shutil
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_assets.evaluation.benchmark import load_benchmark
from rag_assets.records import Condition, SearchFilter
from rag_assets_tests.optional_packages import require
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.qdrant_nodes import real_server, real_servers_or_skip

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "querying.md"
BENCHMARK = ROOT / "eval_benchmarks" / "benchmark.jsonl"
CHANGED_IN_2026 = ("nda_guide.md", "visitor_policy.html")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_JULY_2025, _MARCH_2026 = 1_751_328_000, 1_772_323_200


@dataclass(frozen=True)
class Block:
    """One Python block: its first line on the page, the program, and the expected output."""

    line: int
    program: str
    prints: str


def blocks() -> list[Block]:
    text = PAGE.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    return [
        Block(
            line=text.count("\n", 0, one.start()) + 1,
            program=one[2],
            prints=after[2] if after is not None and after[1] == "text" else "",
        )
        for one, after in zip(found, [*found[1:], None], strict=True)
        if one[1] == "python"
    ]


def copy_sample(folder: Path) -> None:
    """Copy the sample documents, with the dates named on the page."""
    shutil.copytree(ROOT / "data" / "documents", folder)
    for path in folder.rglob("*"):
        changed_at = _MARCH_2026 if path.name in CHANGED_IN_2026 else _JULY_2025
        os.utime(path, (changed_at, changed_at))


def in_memory_server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace every new client by this one: in memory, it is the server."""
    import qdrant_client

    client = qdrant_client.QdrantClient(":memory:")
    monkeypatch.setattr(client, "close", lambda **_: None)
    monkeypatch.setattr(qdrant_client, "QdrantClient", lambda *_, **__: client)
    return client


@pytest.fixture(scope="module", params=["in memory", *real_servers_or_skip()])
def alias(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The alias of the promoted sample, with the environment of an application."""
    # Imported first: they must take the real classes from qdrant-client, before these are replaced.
    require("langchain_qdrant", "llama_index.vector_stores.qdrant")
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.ExitStack() as stack:
        pipeline = Pipeline(tmp_path_factory.mktemp("querying"), monkeypatch)
        copy_sample(pipeline.documents)
        pipeline.configure(RAG_BENCHMARK_FILE=str(BENCHMARK))
        pipeline.unset("RAG_EVAL_THRESHOLD", "RAG_CHUNK_SIZE", "RAG_CHUNK_OVERLAP")
        if request.param == "in memory":
            name = "knowledge_base"
            pipeline.configure(RAG_COLLECTION=name, QDRANT_URL="http://localhost:6333")
            in_memory_server(monkeypatch)
        else:
            name = f"querying-{secrets.token_hex(4)}"
            stack.enter_context(real_server(request.param).configured(pipeline, name))
        pipeline.refresh().checked()
        yield name
        pipeline.close()


@dataclass(frozen=True)
class Page:
    """The page after its run.

    Attributes:
        names: definitions of its blocks.
        printed: output of each block.
    """

    names: dict[str, Any]
    printed: tuple[str, ...]


@pytest.fixture(scope="module")
def page(alias: str) -> Page:
    # In a separate thread: a browser of other tests leaves an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_run_page, alias).result()


def _run_page(alias: str) -> Page:
    names: dict[str, Any] = {"__name__": "querying"}
    printed: list[str] = []
    for block in blocks():
        output = io.StringIO()
        # The lines keep their numbers, to make a traceback point into the page.
        program = "\n" * block.line + block.program.replace('"knowledge_base"', f'"{alias}"')
        with contextlib.redirect_stdout(output):
            try:
                exec(compile(program, str(PAGE), "exec"), names)
            except Exception:
                traceback.print_exc(file=output)
        printed.append(output.getvalue())
    return Page(names, tuple(printed))


@pytest.mark.slow
def test_every_python_block_runs_and_prints_the_output_below(page: Page) -> None:
    for block, printed in zip(blocks(), page.printed, strict=True):
        assert printed == block.prints, f"{PAGE.name}, line {block.line}"


def test_every_block_of_the_page_is_found() -> None:
    text = PAGE.read_text(encoding="utf-8")
    languages = [one[1] for one in _BLOCK.finditer(text)]
    assert text.count("\n```") == 2 * len(languages)
    assert set(languages) == {"python", "text", "bash"}


@pytest.mark.slow
def test_llama_index_ranks_like_the_retriever(page: Page) -> None:
    for query in load_benchmark(BENCHMARK).queries:
        hits = page.names["retriever"].search(query.query, 5)
        nodes = page.names["ask_llama_index"](query.query, 5)
        assert [node.node_id for node in nodes] == [hit.point_id for hit in hits]


@pytest.mark.slow
def test_a_question_of_stop_words_alone_is_answered_by_the_dense_half(page: Page) -> None:
    question = "who is it"
    assert page.names["bm25"].encode_query(question).indices == ()
    assert len(page.names["retriever"].search(question, 2)) == 2
    assert len(page.names["hybrid"](question, page.names["same_model"])) == 2
    assert len(page.names["langchain_store"].similarity_search(question, k=2)) == 2
    assert len(page.names["ask_llama_index"](question, 2)) == 2


@pytest.mark.slow
def test_a_reader_with_groups_finds_nothing_without_access_lists(page: Page) -> None:
    readable = SearchFilter((Condition("access", "any_of", ["everyone"]),))
    assert page.names["retriever"].search("vacation", 5, readable) == []

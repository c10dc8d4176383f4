"""The SDK's own client asks `rag-assets mcp` over both transports, on a knowledge base made by real refreshes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.integrations.event_loop import in_thread
from rag_assets_tests.pipeline import Pipeline, question_about, text_about
from rag_assets_tests.read_only_folder import with_read_only
from rag_assets_tests.serving.conftest import HOSTILE, ONLY_OPEN, SECRETS
from rag_assets_tests.serving.servers import COMMAND, HTTP, STDIO, Connection, connected
from rag_assets_tests.vector_stores.embedded.test_reader import tree

pytestmark = pytest.mark.slow

TRANSPORTS = pytest.mark.parametrize("transport", [STDIO, HTTP])
WAYS = pytest.mark.parametrize(
    ("transport", "mode"), [(STDIO, "auto"), (STDIO, "legacy"), (HTTP, "auto"), (HTTP, "legacy")]
)


@WAYS
def test_an_assistant_searches_reads_and_cites(
    pipeline: Pipeline, tmp_path: Path, transport: str, mode: str
) -> None:
    async def session() -> None:
        async with connected(transport, tmp_path, mode=mode) as connection:
            tools = {tool.name: tool for tool in (await connection.client.list_tools()).tools}
            assert sorted(tools) == ["get_document", "search", "status"]
            assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())

            found = await connection.ask("search", query=question_about("leave"), limit=2)
            assert found["generation"] == pipeline.production().production
            assert found["age"].endswith((" s", " min"))
            [hit, _] = found["hits"]
            assert (hit["document_id"], hit["path"]) == ("filesystem:open/leave.md", "open/leave.md")
            assert hit["title"] == text_about("leave").splitlines()[0].removeprefix("# ")
            assert hit["source_uri"] == (pipeline.documents / "open/leave.md").as_uri()

            status = await connection.ask("status")
            assert (status["generation"], status["num_documents"]) == (found["generation"], 25)
            assert status["metadata"] == {"project": ["text"], "year": ["number"]}

            filtered = await connection.ask("search", query="travel", filters=["path=open/*", "title=Travel"])
            assert {hit["path"] for hit in filtered["hits"]} == {"open/travel.md"}

    in_thread(session())


def test_a_long_document_is_read_in_pages(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.configure(RAG_REGRESSION_FAILS="false")  # its chunks displace others from the dense list
    whole = text_about("long", 600).rstrip("\n")
    pipeline.write("open/long.md", whole)
    pipeline.refresh().checked()

    async def session() -> list[dict[str, Any]]:
        async with connected(STDIO, tmp_path) as connection:
            pages = [await connection.ask("get_document", document_id="filesystem:open/long.md")]
            while (following := pages[-1]["next_chunk"]) is not None:
                pages.append(
                    await connection.ask(
                        "get_document", document_id="filesystem:open/long.md", first_chunk=following
                    )
                )
            return pages

    pages = in_thread(session())
    assert len(pages) > 2
    texts = [page["text"].split("\n", 1)[1].rsplit("\n", 1)[0] for page in pages]
    assert all(len(text) <= 40_000 for text in texts)
    assert all(text in whole for text in texts)
    assert whole.startswith(texts[0])
    assert whole.endswith(texts[-1])
    starts, ends = zip(*((whole.index(text), whole.index(text) + len(text)) for text in texts), strict=True)
    assert all(start <= end for start, end in zip(starts[1:], ends, strict=False)), "a gap between two pages"


@TRANSPORTS
def test_a_promotion_in_the_middle_is_seen_by_the_next_call(
    pipeline: Pipeline, tmp_path: Path, transport: str
) -> None:
    pipeline.configure(RAG_REGRESSION_FAILS="false")  # each menu displaces others from the dense list

    async def session() -> None:
        async with connected(transport, tmp_path) as connection:
            for edition in ("first", "second"):
                pipeline.write(
                    "open/canteen.md", f"# Canteen\n\nThe {edition} {transport} menu has lentils.\n"
                )
                pipeline.refresh().checked()
                found = await connection.ask("search", query="canteen menu lentils", limit=1)
                assert f"The {edition} {transport} menu" in found["hits"][0]["text"]
                assert found["generation"] == pipeline.production().production
                read = await connection.ask("get_document", document_id="filesystem:open/canteen.md")
                assert f"The {edition} {transport} menu" in read["text"]
                assert (await connection.ask("status"))["generation"] == found["generation"]

    in_thread(session())


async def every_tool(connection: Connection) -> None:
    await connection.ask("status")
    [hit] = (await connection.ask("search", query="travel budget", limit=1))["hits"]
    await connection.ask("get_document", document_id=hit["document_id"])


@TRANSPORTS
def test_a_server_writes_nothing(pipeline: Pipeline, tmp_path: Path, transport: str) -> None:
    before = tree(pipeline.home)

    async def session() -> None:
        async with connected(transport, tmp_path, RAG_MCP_FILTER=ONLY_OPEN) as connection:
            await every_tool(connection)
            for name in ("approve", "rollback", "write", "delete_document", "__init__"):
                assert "unknown tool" in await connection.refusal(name)

    in_thread(session())
    assert tree(pipeline.home) == before


@TRANSPORTS
def test_a_server_reads_a_folder_that_it_cannot_write(
    pipeline: Pipeline, tmp_path: Path, transport: str
) -> None:
    command = with_read_only(pipeline.state_dir, *COMMAND)
    before = tree(pipeline.home)

    async def session() -> None:
        async with connected(transport, tmp_path, command=command) as connection:
            await every_tool(connection)

    in_thread(session())
    assert tree(pipeline.home) == before


HITS = {"query": "The board sells the Zanzibar branch, the merger Falcon", "limit": 20}
ATTEMPTS: list[tuple[str, dict[str, Any]]] = [
    ("search", HITS),
    *(
        ("search", HITS | {"filters": filters})
        for filters in (
            ["path=closed/*"],
            ["path=closed/merger.md"],
            ["path=open/*,closed/*"],
            ["path=closed/*", "path=open/*"],
            ["document_id=filesystem:closed/merger.md"],
            ["filename=merger.md"],
            ["title=The merger"],
            ["path!=open/*"],
            ["path=!open/*"],
            ["NOT path=open/*"],
            ["-path=open/*"],
            ["path=*"],
            ["path="],
            ["path=open/../closed/*"],
            ["path=open/* OR path=closed/*"],
            ["path=open/*;path=closed/*"],
            ["path=open/*\npath=closed/*"],
            ["path=open/*\x00"],
            ["p\u0430th=closed/*"],  # a Cyrillic letter
            ["\uff50ath=closed/*"],  # a full-width letter
            ["path\u200b=closed/*"],
            ["path=closed\u2215*"],
            ["metadata.project=Falcon"],
            ["metadata.year>=0"],
            ["metadata.path=closed/*"],
            ['metadata."].path=closed/*'],
            ["locations[].path=closed/*"],
            ["access=board"],
            ["chunk_index>=0"],
            ["modified_at>=1970-01-01"],
            [],
            [""],
            [None],
            [["path=closed/*"]],
            [{"key": "path", "match": "prefix", "value": "closed/"}],
            {"path": "closed/*"},
            {"must_not": [{"key": "path"}]},
            {"should": ["path=closed/*"]},
            "path=closed/*",
            None,
            True,
            0,
            1e308,
        )
    ),
    *(
        ("search", HITS | more)
        for more in (
            {"filter": ["path=closed/*"]},
            {"search_filter": {"conditions": []}},
            {"access": ["board"]},
            {"RAG_MCP_FILTER": ""},
            {"mcp_filter": ""},
            {"generation": "candidate"},
            {"self": None},
            {"__class__": "Arguments"},
            {"limit": 10**30},
            {"limit": -1},
            {"limit": "20"},
            {"limit": [20]},
            {"query": ["Zanzibar"]},
            {"query": {"text": "Zanzibar"}},
            {"query": "\ud800 Zanzibar".encode("utf-16", "surrogatepass").decode("utf-16", "replace")},
        )
    ),
    *(
        ("get_document", {"document_id": name, **more})
        for name in (
            "filesystem:closed/merger.md",
            "filesystem:closed/travel.md",
            "filesystem:open/../closed/merger.md",
            "filesystem:closed/merger.md\x00",
            "FILESYSTEM:CLOSED/MERGER.MD",
            "filesystem:closed/*",
            "closed/merger.md",
            "*",
            "filesystem:topic00.md",
        )
        for more in ({}, {"first_chunk": 1}, {"filters": []}, {"first_chunk": -1})
    ),
    ("get_document", {"document_id": ["filesystem:closed/merger.md"]}),
    ("get_document", {"document_id": {"any_of": ["filesystem:closed/merger.md"]}}),
    ("get_document", {"document_id": None}),
    ("status", {}),
    ("status", {"filters": []}),
    ("status", {"verbose": True}),
]


@TRANSPORTS
def test_no_argument_widens_the_access_filter(pipeline: Pipeline, tmp_path: Path, transport: str) -> None:
    limits = {"RAG_MCP_FILTER": ONLY_OPEN, "RAG_MCP_CALLS_PER_MINUTE": "10000"}

    async def session() -> list[str]:
        async with connected(transport, tmp_path, **limits) as connection:
            return [await connection.raw(tool, arguments) for tool, arguments in ATTEMPTS]

    received = in_thread(session())
    # Messages repeat the caller's own words, so these are taken out first.
    for (tool, arguments), text in zip(ATTEMPTS, received, strict=True):
        own = json.dumps(arguments, ensure_ascii=False)
        assert [word for word in SECRETS if word in text and word not in own] == [], (tool, arguments)
        if '"is_error":false' in text:
            assert [word for word in SECRETS if word in text] == [], (tool, arguments)
    answered = [one for one in received if '"is_error":false' in one]
    assert any('"path":"open/' in one for one in answered), "the readable documents are found"
    assert len(answered) < len(received)
    if transport == STDIO:
        assert "Traceback" not in (tmp_path / "stderr.txt").read_text()


def test_without_a_filter_the_same_words_are_found(pipeline: Pipeline, tmp_path: Path) -> None:
    async def session() -> str:
        async with connected(STDIO, tmp_path) as connection:
            return await connection.raw("search", HITS) + await connection.raw("status", {})

    received = in_thread(session())
    assert [word for word in SECRETS if word not in received] == []


@TRANSPORTS
def test_a_closed_document_looks_like_one_that_does_not_exist(
    pipeline: Pipeline, tmp_path: Path, transport: str
) -> None:
    async def session() -> None:
        async with connected(transport, tmp_path, RAG_MCP_FILTER=ONLY_OPEN) as connection:
            never = await connection.raw("get_document", {"document_id": "filesystem:never/was.md"})
            for path in ("closed/merger.md", "closed/travel.md", "topic00.md"):
                assert await connection.raw("get_document", {"document_id": f"filesystem:{path}"}) == never
            readable = await connection.ask("get_document", document_id="filesystem:open/travel.md")
            assert readable["path"] == "open/travel.md"

    in_thread(session())


def test_a_hostile_text_cannot_end_its_quotation(pipeline: Pipeline, tmp_path: Path) -> None:
    async def session() -> list[dict[str, Any]]:
        async with connected(STDIO, tmp_path) as connection:
            found = [
                await connection.ask("search", query="visitors sign the book", limit=1) for _ in range(2)
            ]
            return [*found, await connection.ask("get_document", document_id="filesystem:open/visitors.md")]

    answers = in_thread(session())
    texts = [answer["hits"][0]["text"] if "hits" in answer else answer["text"] for answer in answers]
    begins = [text.partition("\n")[0] for text in texts]
    assert len(set(begins)) == len(texts), "each answer has marks of its own"
    for answer, text, begin in zip(answers, texts, begins, strict=True):
        end = begin.replace("<", "</")
        assert f"between {begin} and {end}" in answer["notice"]
        assert text.endswith(end)
        assert (text.count(begin), text.count(end)) == (1, 1)
        assert text == f"{begin}\n{HOSTILE.strip()}\n{end}"
    assert answers[0]["hits"][0]["flags"] == answers[2]["flags"] == ["instructions"]


def test_only_the_protocol_is_on_stdout(pipeline: Pipeline, tmp_path: Path) -> None:
    requests = [
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "travel"}}},
        {"id": 3, "method": "tools/call", "params": {"name": "search", "arguments": {"query": 3}}},
    ]
    process = subprocess.Popen(
        COMMAND,
        env=os.environ | {"RAG_UNKNOWN": "1", "PYTHONWARNINGS": "always"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    for request in requests:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **request}) + "\n")
        process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(3)]
    more, errors = process.communicate(timeout=60)
    assert {json.loads(line)["id"] for line in lines} == {1, 2, 3}
    assert more == ""
    assert process.returncode == 0
    assert "RAG_UNKNOWN" in errors, "warnings go to stderr"
    assert "serving every document" in errors


@pytest.mark.parametrize("arguments", [(), ("--http", "127.0.0.1:0")], ids=[STDIO, HTTP])
def test_ctrl_c_ends_a_server_at_once(pipeline: Pipeline, arguments: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    while "serving" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) in (0, -signal.SIGINT)
    printed, errors = process.communicate()
    assert printed == ""
    assert "Traceback" not in errors


def test_the_command_starts_where_nothing_is_in_production(tmp_path: Path, pipeline: Pipeline) -> None:
    async def session() -> str:
        async with connected(STDIO, tmp_path, RAG_STATE_DIR=str(tmp_path / "empty")) as connection:
            assert await connection.refusal("status") == await connection.refusal("search", query="travel")
            return await connection.refusal("status")

    assert "nothing is in production yet" in in_thread(session())
    assert not (tmp_path / "empty").exists()


def test_a_missing_sdk_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['mcp'] = None; from rag_assets.cli.main import main; sys.exit(main(['mcp']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'rag-assets[mcp]'" in done.stderr

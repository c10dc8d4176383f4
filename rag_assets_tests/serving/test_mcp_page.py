"""docs/mcp.md names every tool, argument, key and limit of the server, and its JSON can be read."""

import argparse
import json
import re
from pathlib import Path

from rag_assets.cli.options import parser
from rag_assets.retrieval import Retriever
from rag_assets.serving import arguments, documents, http_guard
from rag_assets.serving.access import AccessFilter
from rag_assets.serving.knowledge_base_tools import TOOLS, KnowledgeBaseTools
from rag_assets.serving.rate_limit import RateLimit
from rag_assets.settings import Settings
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.documents import document, embedder_of, stage

PAGE = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE)))


def test_every_tool_and_argument_is_named() -> None:
    for tool in TOOLS:
        assert {tool.name, *tool.arguments.model_fields} <= NAMES
    assert {
        str(field.alias) for name, field in Settings.model_fields.items() if name.startswith("mcp_")
    } <= NAMES


def test_every_key_of_an_answer_is_named(tmp_path: Path) -> None:
    store = EmbeddedVectorStore(tmp_path, "kb")
    text = "Thirty days.\n"
    stage(store, "g1", [document("a.md", text), document("b.md", text)], [text])
    store.promote("g1", None)
    tools = KnowledgeBaseTools("kb", Retriever(store, embedder_of), AccessFilter(), RateLimit(60))
    found = tools.call("search", {"query": "days"})
    read = tools.call("get_document", {"document_id": "filesystem:a.md"})
    [hit] = found["hits"]
    [other] = hit["other_locations"]
    keys = {*found, *hit, *other, *read, *tools.call("status", {})}
    assert keys - NAMES == set()


def test_the_limits_are_those_of_the_server() -> None:
    schema = arguments.SearchArguments.schema_for_callers()["properties"]
    assert f"{schema['query']['maxLength']:,} characters of a query" in PAGE
    filters = schema["filters"]
    assert f"{filters['maxItems']} filters of {filters['items']['maxLength']} characters" in PAGE
    assert f"{arguments.MOST_HITS} hits, {http_guard.MOST_BODY_BYTES // 1024} KB of a request" in PAGE
    assert f"up to {documents.MOST_CHARACTERS:,} characters" in PAGE
    assert f"`RAG_MCP_CALLS_PER_MINUTE` ({Settings.model_fields['mcp_calls_per_minute'].default})" in PAGE


def test_the_configurations_can_be_read_and_start_the_command() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    over_stdio, over_http = (json.loads(block)["mcpServers"]["documents"] for block in blocks)
    assert _parsed(over_stdio["args"]).http is None
    assert _parsed(["mcp", "--http"]).http == over_http["url"].removeprefix("http://").removesuffix(
        http_guard.PATH
    )
    commands = re.findall(r"^.*rag-assets (mcp.*)$", PAGE, re.MULTILINE)
    assert {_parsed(command.split()).command for command in commands if "`" not in command} == {"mcp"}


def test_the_access_filter_of_the_page_is_one() -> None:
    [example] = re.findall(r"^RAG_MCP_FILTER='(.*)'$", PAGE, re.MULTILINE)
    assert len(AccessFilter.of(example).expressions) == 2


def _parsed(given: list[str]) -> argparse.Namespace:
    return parser().parse_args(given)

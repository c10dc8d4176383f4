"""`rag-assets mcp` as a process, and the SDK's own client on it, over both transports."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

STDIO, HTTP = "stdio", "http"
COMMAND = (sys.executable, "-m", "rag_assets.cli.main", "mcp")


class Connection:
    """One connection of a client.

    Attributes:
        client: of the SDK.
        errors: stderr of a server over stdio.
    """

    def __init__(self, client: Client, errors: Path) -> None:
        self.client = client
        self.errors = errors

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer of a tool. Both of its forms are equal."""
        result = await self.client.call_tool(tool, arguments)
        [content] = result.content
        assert not result.is_error, content
        assert json.loads(content.text) == result.structured_content  # type: ignore[union-attr]
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """Return the error of a tool."""
        result = await self.client.call_tool(tool, arguments)
        [content] = result.content
        assert result.is_error, content
        assert result.structured_content is None
        return content.text  # type: ignore[union-attr]

    async def raw(self, tool: str, arguments: dict[str, Any]) -> str:
        """Return everything that the client receives, answer or error."""
        return (await self.client.call_tool(tool, arguments)).model_dump_json()


@contextlib.contextmanager
def http_server(
    command: Sequence[str] = COMMAND, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a server on a free port. Yield its URL and the process."""
    process = subprocess.Popen(
        [*command, "--http", "127.0.0.1:0"],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = ""
        while (found := re.search(r"at (http://\S+/mcp),", said)) is None:
            line = process.stderr.readline()
            assert line, f"the server ended: {said}"
            said += line
        yield found[1], process
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def connected_to(url: str, *, mode: str = "auto", **headers: str) -> AsyncIterator[Connection]:
    """Connect to a server over HTTP."""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield Connection(client, Path(os.devnull))


@asynccontextmanager
async def connected(
    transport: str, folder: Path, *, mode: str = "auto", command: Sequence[str] = COMMAND, **environment: str
) -> AsyncIterator[Connection]:
    """Start a server, and connect to it over one of the transports.

    Args:
        folder: for the stderr of a server over stdio.
        mode: `auto` for the present protocol, `legacy` for clients that begin with `initialize`.
    """
    if transport == HTTP:
        with http_server(command, **environment) as (url, _):
            async with connected_to(url, mode=mode) as connection:
                yield connection
        return
    started = StdioServerParameters(command=command[0], args=list(command[1:]), env=os.environ | environment)
    errors = folder / "stderr.txt"
    with errors.open("w") as log:
        async with Client(stdio_client(started, log), mode=mode) as client:
            yield Connection(client, errors)

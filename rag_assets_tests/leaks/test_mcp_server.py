"""`rag-assets mcp` over HTTP, in front of a failing Qdrant: answers, errors and its log hold no canary."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from rag_assets.settings import Settings
from rag_assets_tests.leaks.canaries import OF_LIBRARIES, canary_of
from rag_assets_tests.leaks.command_lines import watched_command_lines
from rag_assets_tests.leaks.scanner import canaries_in, canaries_in_folder
from rag_assets_tests.leaks.scenes import form_of_setting
from rag_assets_tests.leaks.servers import KINDS, FailingServer
from rag_assets_tests.serving.servers import COMMAND

pytestmark = pytest.mark.slow
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
TOOLS = {
    "search": {"question": "anything"},
    "status": {},
    "read_document": {"document_id": "a"},
    "no such": {},
}
_START_SECONDS = 120


@contextmanager
def mcp_server(home: Path, environment: dict[str, str]) -> Iterator[str]:
    """Yield the URL of a server. What it prints is in its home."""
    log = home / "printed.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "--http", "127.0.0.1:0"], cwd=home, env=environment, stdin=subprocess.DEVNULL,
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _START_SECONDS
        while (found := re.search(r"at (http://\S+/mcp),", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[1]
    finally:
        process.kill()
        process.wait()


def raw_answer(url: str, request: bytes) -> bytes:
    """Send bytes that no client would, and return all that comes back."""
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(1 << 16):
            answer += data
        return answer


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind == "500" else pytest.mark.soak)
        for kind in KINDS
        if kind != "untrusted"
    ],
)
def test_no_answer_and_no_log_holds_a_canary(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    server = FailingServer(tmp_path)
    server.kind = (
        kind if kind in ("refused", "untrusted") else "500"
    )  # after a refusal for ever, it does not start
    for name in (*(str(field.alias) for field in Settings.model_fields.values()), *OF_LIBRARIES):
        monkeypatch.delenv(name, raising=False)
    for name in ("RAG_MCP_TOKEN", "QDRANT_URL", "QDRANT_API_KEY", "OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, form_of_setting(name, server))
    monkeypatch.setenv("RAG_HOME", str(home))
    monkeypatch.setenv("QDRANT_TIMEOUT_SECONDS", "1")
    token = canary_of("RAG_MCP_TOKEN")
    right, other = f"Bearer {token}", f"Bearer {token}x"
    with server, watched_command_lines() as command_lines, mcp_server(home, dict(os.environ)) as url:
        server.kind = kind
        answers: list[httpx2.Response] = []

        def ask(authorization: str, content: str, method: str = "POST", path: str = "") -> httpx2.Response:
            headers = {**HEADERS, "authorization": authorization}
            answers.append(httpx2.request(method, url + path, headers=headers, content=content, timeout=120))
            return answers[-1]

        for name, arguments in TOOLS.items():
            call = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": name, "arguments": arguments},
            }
            assert ask(right, json.dumps(call)).status_code == 200
            assert ask(other, json.dumps(call)).status_code == 401
        for content in ("", "{", "[]", '{"jsonrpc": "2.0", "method": 7}'):
            ask(right, content)
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/other"), ("POST", "?token=" + "x" * 9)):
            ask(right, "{}", method, path)
        raw = [
            raw_answer(url, f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n".encode())
            for lines in (
                f"Authorization {right}",
                f"Authorization: {right}\r\n{right}",
                f"Authorization: {right}\0",
            )
        ]
    assert all(raw)
    received = [str(one.headers).encode() + one.content for one in answers]
    assert [canaries_in(one) for one in (*received, *raw)] == [set()] * (len(received) + len(raw))
    assert canaries_in_folder(home) == {}
    assert command_lines == {}
    assert "isError" in received[0].decode(), "the failing server was not asked"

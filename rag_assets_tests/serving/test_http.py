"""What the server over HTTP refuses before the protocol, asked with plain requests and the SDK's client."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.serving.http_guard import MOST_BODY_BYTES
from rag_assets.serving.http_server import listen, url_of
from rag_assets_tests.integrations.event_loop import in_thread
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.serving.servers import COMMAND, connected_to, http_server

TOKEN = "0123456789abcdef-a-long-token"
STATUS = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "status", "arguments": {}}}
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def url(pipeline: Pipeline) -> Iterator[str]:
    with http_server(RAG_MCP_TOKEN=TOKEN, RAG_MCP_HOSTS="kb.example.com, proxy") as (url, _):
        yield url


def answer(url: str, *headers: tuple[str, str], method: str = "POST", body: Any = STATUS) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body)
    return httpx2.request(method, url, headers=[*HEADERS.items(), *headers], content=content, timeout=30)


def authorized(url: str, *headers: tuple[str, str], **options: Any) -> httpx2.Response:
    return answer(url, *headers, ("authorization", f"Bearer {TOKEN}"), **options)


@slow
@pytest.mark.parametrize("headers", [[], [("origin", "http://localhost:3000")], [("host", "localhost")]])
def test_a_request_with_the_token_is_answered(url: str, headers: list[tuple[str, str]]) -> None:
    response = authorized(url, *headers)
    assert response.status_code == 200
    assert response.json()["result"]["structuredContent"]["num_documents"] == 25


@slow
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN},",
        "Bearer \u00e9",
    ],
)
def test_another_token_is_refused_before_anything_else_is_checked(
    url: str, authorization: str | None
) -> None:
    headers = [] if authorization is None else [("authorization", authorization.encode("latin-1"))]
    for path in ("", "x", "/../.env"):
        for method in ("POST", "GET", "DELETE"):
            response = answer(url + path, *headers, method=method)  # type: ignore[arg-type]
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert "RAG_MCP_TOKEN" in response.text
            assert TOKEN not in response.text


@slow
def test_two_tokens_are_none(url: str) -> None:
    assert authorized(url, ("authorization", "Bearer other")).status_code == 401


@slow
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://localhost.evil.example",
        "http://evil.example:80/localhost",
        "http://localhost@evil.example",
        "http://evil.example#localhost",
        "file://localhost",
        "http://127.0.0.1.evil.example:8765",
        "http://localhost:8765:8765",
    ],
)
def test_requests_from_pages_of_other_sites_are_refused(url: str, origin: str) -> None:
    response = authorized(url, ("origin", origin))
    assert response.status_code == 403
    assert "RAG_MCP_HOSTS" in response.text


@slow
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example:8765", "127.0.0.1.evil.example", "", "localhost:x", "0.0.0.0"],
)
def test_a_name_of_another_site_is_refused(url: str, host: str) -> None:
    response = authorized(url, ("host", host))
    assert response.status_code in (400, 421)
    assert "result" not in response.text


@slow
@pytest.mark.parametrize("host", ["kb.example.com", "KB.example.com:443", "proxy", "[::1]:80", "127.0.0.1"])
def test_names_in_the_settings_are_known(url: str, host: str) -> None:
    assert authorized(url, ("host", host)).status_code == 200
    assert authorized(url, ("origin", f"https://{host.lower()}")).status_code == 200


@slow
def test_a_body_that_is_too_large_is_refused(url: str) -> None:
    large = {**STATUS, "params": {"name": "search", "arguments": {"query": "x" * MOST_BODY_BYTES}}}
    declared = authorized(url, body=large)
    assert declared.status_code == 413
    assert f"more than {MOST_BODY_BYTES:,} bytes" in declared.text

    def pieces() -> Iterator[bytes]:
        yield from (b"x" * 10_000 for _ in range(20))

    streamed = httpx2.post(url, headers=HEADERS | AUTHORIZED, content=pieces(), timeout=30)
    assert streamed.status_code == 413


@slow
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS"])
def test_only_post_to_one_path_is_served(url: str, method: str) -> None:
    assert authorized(url, method=method).status_code == 405
    assert authorized(url.replace("/mcp", "/other"), method=method).status_code == 404


@slow
@pytest.mark.parametrize("version", [None, "2025-06-18", "2026-07-28"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 30_000,
        b"[]",
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["search"]}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": 3}}',
        b'{"jsonrpc": "2.0", "id": ' + b"9" * 5_000 + b', "method": "ping"}',
    ],
)
def test_what_is_no_request_gets_an_error_and_the_server_goes_on(
    url: str, body: bytes, version: str | None
) -> None:
    headers = [] if version is None else [("mcp-protocol-version", version)]
    response = authorized(url, *headers, body=body)
    assert response.status_code in (200, 400, 404)
    assert "Traceback" not in response.text
    assert '"result"' not in response.text
    assert authorized(url).status_code == 200


@slow
def test_the_client_of_the_sdk_sends_the_token(url: str) -> None:
    async def status(**headers: str) -> dict[str, Any]:
        async with connected_to(url, **headers) as connection:
            return await connection.ask("status")

    assert in_thread(status(**AUTHORIZED))["num_documents"] == 25
    with pytest.raises(BaseException):  # noqa: B017, PT011 - a group of errors of the SDK
        in_thread(status(authorization="Bearer wrong"))


@slow
def test_a_token_may_stand_in_a_file(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with http_server(RAG_MCP_TOKEN_FILE=str(tmp_path / "token")) as (url, _):
        assert authorized(url).status_code == 200
        assert answer(url).status_code == 401


@slow
def test_calls_that_come_too_fast_get_the_time_of_a_retry(pipeline: Pipeline) -> None:
    with http_server(RAG_MCP_CALLS_PER_MINUTE="2") as (url, _):

        async def session() -> list[str]:
            async with connected_to(url) as connection:
                return [await connection.raw("status", {}) for _ in range(4)]

        received = in_thread(session())
    assert ['"is_error":true' in one for one in received] == [False, False, True, True]
    assert "at most 2 per minute. Retry in" in received[-1]


@slow
def test_nothing_but_its_address_is_printed_and_only_on_stderr(pipeline: Pipeline) -> None:
    with http_server() as (url, process):
        for body in (STATUS, b"{", {**STATUS, "params": {"name": "never"}}):
            answer(url, body=body)
        answer(url, ("host", "evil.example"))
        process.terminate()
        printed, errors = process.communicate(timeout=30)
    assert (printed, errors) == ("", "")


def test_another_address_than_the_loopback_one_needs_a_token() -> None:
    for address in ("0.0.0.0:0", "[::]:0", "0:0"):
        with pytest.raises(ConfigurationError, match="Set RAG_MCP_TOKEN"):
            listen(address, None).close()
    with listen("0.0.0.0:0", TOKEN) as opened:
        assert url_of(opened) == f"http://127.0.0.1:{opened.getsockname()[1]}/mcp"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "127.8.8.8:0"])
def test_an_address_of_this_machine_alone_needs_no_token(address: str) -> None:
    listen(address, None).close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("8765", "expected HOST:PORT such as 127.0.0.1:8765, found '8765'"),
        ("127.0.0.1:99999", "expected HOST:PORT"),
        ("http://127.0.0.1:1", "expected HOST:PORT"),
        ("no.such.host.invalid:1", "unknown host 'no.such.host.invalid'"),
    ],
)
def test_an_unusable_address_is_an_error(address: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listen(address, TOKEN)
    assert message in str(caught.value)


def test_an_address_in_use_is_an_error() -> None:
    with (
        listen("127.0.0.1:0", None) as opened,
        pytest.raises(ConfigurationError, match="Address already in use"),
    ):
        listen(f"127.0.0.1:{opened.getsockname()[1]}", None)


@slow
@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({}, ("--http", "0.0.0.0:0"), "Set RAG_MCP_TOKEN, or listen on 127.0.0.1"),
        ({"RAG_MCP_TOKEN": "short"}, ("--http",), "RAG_MCP_TOKEN: expected at least 16 characters"),
        ({"RAG_MCP_FILTER": "acess=staff"}, (), "RAG_MCP_FILTER: cannot filter by 'acess'"),
        ({"RAG_MCP_FILTER": "metadata.projekt=x"}, (), "RAG_MCP_FILTER: no document has metadata.projekt"),
        ({"RAG_MCP_CALLS_PER_MINUTE": "0"}, (), "RAG_MCP_CALLS_PER_MINUTE: expected a whole number"),
    ],
)
def test_a_server_with_unusable_settings_does_not_start(
    pipeline: Pipeline, environment: dict[str, str], arguments: tuple[str, ...], message: str
) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "short" not in done.stderr
    assert done.stdout == ""

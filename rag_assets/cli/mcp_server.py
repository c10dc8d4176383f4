"""`rag-assets mcp`: the server for assistants, until its client or a person ends it."""

import argparse
from contextlib import closing, suppress
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from rag_assets.cli.terminal import complain
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.serving.access import AccessFilter
from rag_assets.serving.knowledge_base_tools import KnowledgeBaseTools
from rag_assets.serving.rate_limit import RateLimit

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server


def mcp(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Serve over stdio, or over HTTP. Only the protocol goes to stdout, everything else to stderr."""
    from rag_assets.serving.mcp_server import build_server

    settings = knowledge_base.settings
    access = AccessFilter.of(settings.mcp_filter)
    with closing(knowledge_base.retriever()) as retriever:
        tools = KnowledgeBaseTools(
            settings.collection, retriever, access, RateLimit(settings.mcp_calls_per_minute)
        )
        tools.check_access()
        server = build_server(tools, _version())
        readable = "every document" if access.is_open else f"the documents with {settings.mcp_filter}"
        what = f"{readable} of {knowledge_base.place}"
        with suppress(KeyboardInterrupt):
            if options.http is None:
                _serve_stdio(server, what)
            else:
                _serve_http(server, what, options.http, knowledge_base)
    return 0


def _serve_stdio(server: "Server", what: str) -> None:
    import signal

    import anyio

    from rag_assets.serving.mcp_server import serve_stdio

    # A thread waits for stdin, and would keep the process until its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    complain(f"serving {what} over stdio")
    anyio.run(partial(serve_stdio, server))


def _serve_http(server: "Server", what: str, address: str, knowledge_base: KnowledgeBase) -> None:
    import anyio

    from rag_assets.serving.http_server import listen, serve_http, url_of

    settings = knowledge_base.settings
    token = settings.mcp_token.get_secret_value() if settings.mcp_token else None
    with listen(address, token) as opened:
        complain(f"serving {what} at {url_of(opened)}, {'with' if token else 'without'} a token")
        anyio.run(partial(serve_http, server, opened, settings.mcp_hosts, token))


def _version() -> str:
    with suppress(metadata.PackageNotFoundError):  # run from a clone, not installed
        return metadata.version("rag-assets")
    return ""

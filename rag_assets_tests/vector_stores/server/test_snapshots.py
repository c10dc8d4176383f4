"""Snapshots are deleted with the generations of a purge, and named if they stay. The server is a stub that speaks HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from qdrant_client import QdrantClient

from rag_assets.errors import VectorStoreUnavailable
from rag_assets.vector_stores.server.snapshots import remove_snapshots
from rag_assets.vector_stores.server.store import ServerVectorStore


@contextmanager
def snapshot_server(snapshots: dict[str, list[str]], status: int = 200) -> Iterator[QdrantClient]:
    """Serve the API of snapshots: collection -> names, "" for those of the whole server."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = self.path.partition("?")[0].strip("/").split("/")
            found = snapshots.get(parts[1] if parts[0] == "collections" else "")
            code = status if found is not None else 404
            result: Any = None
            if code == 200 and found is not None and self.command == "DELETE":
                found.remove(parts[-1])
                result = True
            elif code == 200 and found is not None:
                result = [{"name": one, "size": 1} for one in found]
            problem = {"error": f"Not found: Collection `{parts[1]}` doesn't exist!"} if code == 404 else "ok"
            body = json.dumps({"result": result, "status": problem, "time": 0.0}).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    client = QdrantClient(host="127.0.0.1", port=server.server_address[1], check_compatibility=False)
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_those_of_the_generations_go_and_those_of_the_server_are_named() -> None:
    snapshots = {"kb--g1": ["one", "two"], "kb--g2": [], "other": ["three"], "": ["all"]}
    with snapshot_server(snapshots) as client:
        left = remove_snapshots(client, ["kb--g1", "kb--g2", "kb--gone"])
    assert snapshots == {"kb--g1": [], "kb--g2": [], "other": ["three"], "": ["all"]}
    assert left == ["the snapshot all of the whole server"]


def test_a_refusal_is_named() -> None:
    snapshots = {"kb--g1": ["one"], "": []}
    with snapshot_server(snapshots, 403) as client:
        [left] = remove_snapshots(client, ["kb--g1"])
    assert left.startswith("snapshots of its generations (")
    assert snapshots["kb--g1"] == ["one"]


def test_a_server_that_fails_is_an_error() -> None:
    with snapshot_server({"kb--g1": ["one"], "": []}, 500) as client, pytest.raises(VectorStoreUnavailable):
        remove_snapshots(client, ["kb--g1"])


def test_the_local_mode_of_the_client_has_none() -> None:
    store = ServerVectorStore(QdrantClient(":memory:"), "kb")
    assert store.remove_snapshots(["g1"]) == []

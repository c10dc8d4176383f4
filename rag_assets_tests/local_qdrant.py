"""A real HTTP server on the loopback interface with Qdrant's REST API, for machines without a Qdrant server.

The client's local mode stores the data in memory. Alias batches are those of a server: see `ServerLikeClient`. It knows the
requests of a refresh and of a search, and answers any other with 404.
"""

import contextlib
import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter
from qdrant_client import models

from rag_assets_tests.vector_stores.server.conftest import ServerLikeClient

VERSION = "1.20.0"
_Answer = Callable[[Any, str, Any], Any]
"""Client, collection, body -> result."""


def _create(client: Any, name: str, body: Any) -> bool:
    wanted = models.CreateCollection.model_validate(body)
    # A server keeps a unit vector as it is. The local mode divides it by its length again, except with dot products.
    vectors = {
        key: params.model_copy(update={"distance": models.Distance.DOT})
        for key, params in dict(wanted.vectors or {}).items()
    }
    return client.create_collection(
        name,
        vectors_config=vectors,
        sparse_vectors_config=wanted.sparse_vectors,
        metadata=wanted.metadata,
    )


def _index(client: Any, name: str, body: Any) -> Any:
    wanted = models.CreateFieldIndex.model_validate(body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the local mode has no use for an index
        return client.create_payload_index(name, wanted.field_name, field_schema=wanted.field_schema)


def _scroll(client: Any, name: str, body: Any) -> dict[str, Any]:
    asked = models.ScrollRequest.model_validate(body)
    points, next_page = client.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit or 10,
        offset=asked.offset,
        with_payload=asked.with_payload is not False,
        with_vectors=asked.with_vector or False,
    )
    return {"points": points, "next_page_offset": next_page}


def _retrieve(client: Any, name: str, body: Any) -> Any:
    asked = models.PointRequest.model_validate(body)
    return client.retrieve(
        name, asked.ids, with_payload=asked.with_payload is not False, with_vectors=asked.with_vector or False
    )


def _change_aliases(client: Any, _name: str, body: Any) -> bool:
    return client.update_collection_aliases(models.ChangeAliasesOperation.model_validate(body).actions)


_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
_SELECTOR: TypeAdapter[Any] = TypeAdapter(models.PointsSelector)
_ANSWERS: tuple[tuple[str, str, _Answer], ...] = (
    ("GET", "/aliases", lambda client, name, body: client.get_aliases()),
    ("GET", "/collections", lambda client, name, body: client.get_collections()),
    ("POST", "/collections/aliases", _change_aliases),
    ("GET", "/collections/{}", lambda client, name, body: client.get_collection(name)),
    ("PUT", "/collections/{}", _create),
    ("PATCH", "/collections/{}", lambda client, name, body: client.update_collection(name, **body)),
    ("DELETE", "/collections/{}", lambda client, name, body: client.delete_collection(name)),
    ("PUT", "/collections/{}/index", _index),
    (
        "PUT",
        "/collections/{}/points",
        lambda client, name, body: client.upsert(name, models.PointsList.model_validate(body).points),
    ),
    ("POST", "/collections/{}/points", _retrieve),
    ("POST", "/collections/{}/points/scroll", _scroll),
    ("POST", "/collections/{}/points/count", lambda client, name, body: client.count(name)),
    (
        "POST",
        "/collections/{}/points/delete",
        lambda client, name, body: client.delete(name, _SELECTOR.validate_python(body)),
    ),
    (
        "POST",
        "/collections/{}/points/batch",
        lambda client, name, body: client.batch_update_points(
            name, models.UpdateOperations.model_validate(body).operations
        ),
    ),
    (
        "POST",
        "/collections/{}/points/query/batch",
        lambda client, name, body: client.query_batch_points(
            name, models.QueryRequestBatch.model_validate(body).searches
        ),
    ),
    ("GET", "/cluster", lambda client, name, body: {"status": "disabled"}),
)
_ROUTES = [
    (method, re.compile(re.escape(path).replace(r"\{\}", "([^/]+)")), answer)
    for method, path, answer in _ANSWERS
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def _respond(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        if path == "/":
            self._send(200, {"title": "qdrant", "version": VERSION})
            return
        for method, pattern, answer in _ROUTES:
            found = pattern.fullmatch(path)
            if method == self.command and found is not None:
                name = unquote(found[1]) if found.groups() else ""
                self._send(*self._answer(answer, name, json.loads(data or b"null")))
                return
        self._send(404, {"status": {"error": "no such path"}, "time": 0.0})

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _respond  # noqa: N815

    def _answer(self, answer: _Answer, name: str, body: Any) -> tuple[int, dict[str, Any]]:
        try:
            with self.server.lock:
                result = _ANYTHING.dump_python(
                    answer(self.server.client, name, body), mode="json", exclude_none=True
                )
        except ValueError as error:
            missing = "not found" in str(error)
            kind = "Not found: " if missing else "Bad request: "
            return 404 if missing else 400, {"status": {"error": f"{kind}{error}"}, "time": 0.0}
        return 200, {"result": result, "status": "ok", "time": 0.0}

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.client = ServerLikeClient()
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: some tests cut connections."""


@contextlib.contextmanager
def local_qdrant() -> Iterator[int]:
    """Run a server without collections, and yield its port."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Everything that the UI of Dagster can show, asked for over HTTP with all fields of its API that need no argument."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_object_type,
    is_required_argument,
)

from rag_assets_tests.redis_servers import free_port

_LOCATION = 'repositoryLocationName: "rag_assets.definitions", repositoryName: "__repository__"'
_JOB = f'{{{_LOCATION}, pipelineName: "refresh"}}'
ROOTS = {
    "runsOrError": ("", 4),
    "instance": ("", 3),
    "workspaceOrError": ("", 3),
    "assetNodes": ("", 3),
    "assetsOrError": ("", 3),
    "sensorsOrError": (f"(repositorySelector: {{{_LOCATION}}})", 5),
    "schedulesOrError": (f"(repositorySelector: {{{_LOCATION}}})", 5),
    "allTopLevelResourceDetailsOrError": (f"(repositorySelector: {{{_LOCATION}}})", 5),
    "runConfigSchemaOrError": (f"(selector: {_JOB})", 3),
    "pipelineOrError": (f"(params: {_JOB})", 3),
}
"""Query -> its arguments, and the depth of the answer."""
_LOGS = 'logsForRun(runId: "{}", limit: 1000)', 4
_START_SECONDS = 240


class Ui:
    """The API of a running webserver."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._without: set[str] = set()

    def ask(self, query: str) -> dict[str, Any]:
        """Return the answer, or the errors in place of one."""
        request = urllib.request.Request(
            f"{self._url}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    @cached_property
    def _schema(self) -> GraphQLSchema:
        return build_client_schema(self.ask(get_introspection_query())["data"])

    def everything(self, *run_ids: str) -> dict[str, bytes]:
        """Return query -> its answer."""
        query_type = self._schema.query_type
        assert query_type is not None
        asked = {f"{name}{given}": (name, depth) for name, (given, depth) in ROOTS.items()}
        asked |= {_LOGS[0].format(run_id): ("logsForRun", _LOGS[1]) for run_id in run_ids}
        answers: dict[str, bytes] = {}
        for query, (name, depth) in asked.items():
            answers[query] = json.dumps(self._answer(query, query_type.fields[name].type, depth)).encode()
        return answers

    def _answer(self, query: str, of: Any, depth: int) -> dict[str, Any]:
        """Ask for all fields, without those that fail here: for example partitions, where there are none."""
        while True:
            answer = self.ask(f"{{ {query} {self._selection(get_named_type(of), depth, ())} }}")
            if not answer.get("errors"):
                return answer
            failing = {
                [part for part in one["path"] if isinstance(part, str)][-1] for one in answer["errors"]
            }
            assert failing - self._without, str(answer)[:2000]
            self._without |= failing

    def _selection(self, of: Any, depth: int, within: tuple[str, ...]) -> str:
        """Return all fields of a type, down to a depth, without going in circles."""
        if is_abstract_type(of):
            parts = [
                f"... on {one.name} {self._selection(one, depth, within)}"
                for one in self._schema.get_possible_types(of)
            ]
            return f"{{ __typename {' '.join(parts)} }}"
        assert is_object_type(of)
        parts = ["__typename"]
        for name, field in of.fields.items():
            # With a name of its own: fields of the same name have different types in the members of a union.
            key = f"{of.name}_{name}"
            if key in self._without or any(is_required_argument(one) for one in field.args.values()):
                continue
            inner, alias = get_named_type(field.type), f"{key}: {name}"
            if is_leaf_type(inner):
                parts.append(alias)
            elif depth > 1 and inner.name not in within:
                parts.append(f"{alias} {self._selection(inner, depth - 1, (*within, of.name))}")
        return f"{{ {' '.join(parts)} }}"


@contextlib.contextmanager
def webserver(home: Path, environment: Mapping[str, str]) -> Iterator[Ui]:
    """Start `dagster-webserver` with our code location, and write what it prints beside its home."""
    port = free_port()
    with (home / "webserver.log").open("ab") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("dagster-webserver"), "-h", "127.0.0.1", "-p", str(port),
             "-m", "rag_assets.definitions"],
            cwd=home, env=dict(environment), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        ui = Ui(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                ui.ask("{ version }")
                break
            assert process.poll() is None, (home / "webserver.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.3)
        yield ui
    finally:
        process.terminate()
        process.wait(60)

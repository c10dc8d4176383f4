"""PostgreSQL as Dagster's storage in trouble: the commands of a person, with the storage of deployment/dagster.yaml.

All is real: PostgreSQL behind a proxy, `rag-assets refresh` and `dagster asset materialize` in processes of their own.
"""

import itertools
import os
import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import psycopg

from rag_assets_tests.outages.postgres_error import postgres_error
from rag_assets_tests.outages.result import Production, Result
from rag_assets_tests.processes.conftest import Story, tell
from rag_assets_tests.processes.refresh_command import Printed, finished, run_command
from rag_assets_tests.processes.scene import (
    Scene,
    assert_same_end,
    materialize,
    new_scene,
    points_in_production,
)
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port
from rag_assets_tests.troubled_proxy import TROUBLES, Trouble, TroubledProxy

Moment = Literal["at the start", "in the middle", "after the promotion"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
FILE = Path(__file__).parents[2] / "deployment" / "dagster.yaml"
NAME = "PostgreSQL of Dagster"
HOST = "postgres.example.com:5432"
_TIMEOUT_SECONDS = 1
_SENTENCE = re.compile(
    r"Dagster's storage, PostgreSQL at \S+, database \w+, .*?(?:then try again|the name server)"
)
_numbers = itertools.count(1)


@cache
def _template() -> str:
    """Make a database with Dagster's tables, and return its name."""
    from dagster_postgres.storage import DagsterPostgresStorage

    name = f"dagster_{os.getpid()}"
    _administer(f"CREATE DATABASE {name}")
    url = f"postgresql+psycopg2://postgres:{PASSWORD.replace('@', '%40')}@127.0.0.1:{server_port()}/{name}"
    DagsterPostgresStorage(url)
    return name


def _administer(statement: str) -> None:
    address = f"host=127.0.0.1 port={server_port()} user=postgres password={PASSWORD} dbname=postgres"
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(statement.encode())


class StorageInTrouble:
    """A copy of a scene with Dagster's storage on PostgreSQL, behind a proxy.

    Args:
        timeout_seconds: for any answer of the storage.
    """

    def __init__(self, scene: Scene, timeout_seconds: int = _TIMEOUT_SECONDS) -> None:
        self.scene = scene
        self._database = f"{_template()}_{next(_numbers)}"
        _administer(f"CREATE DATABASE {self._database} TEMPLATE {_template()}")
        self.proxy = TroubledProxy(server_port(), postgres_error)
        text = FILE.read_text(encoding="utf-8")
        short = re.sub(r"timeout_seconds: \d+", f"timeout_seconds: {timeout_seconds}", text, count=1)
        # The other one is of the run monitoring.
        (scene.home / "dagster.yaml").write_text(short, encoding="utf-8")
        self.environment = {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.proxy.port),
            "DAGSTER_POSTGRES_DB": self._database,
            "DAGSTER_POSTGRES_USER": "postgres",
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_LOCAL_FOLDER": str(scene.home / "files"),
        }

    def begin(self, trouble: Trouble, moment: Moment) -> None:
        self.proxy.begin(trouble, _first_request(moment))

    def close(self) -> None:
        self.proxy.close()
        _administer(f"DROP DATABASE {self._database} WITH (FORCE)")

    def plain(self, text: str) -> str:
        text = text.replace(f"127.0.0.1:{self.proxy.port}", HOST).replace(self._database, "dagster")
        return re.sub(r"\b\d+ s\b", "N s", text)


def _first_request(moment: Moment) -> Callable[[bytes], bool] | None:
    """Return how to recognize the event with which the trouble begins: the start of a step, or the end of the last one."""

    def stored(event: bytes, step: bytes) -> Callable[[bytes], bool]:
        return lambda data: b"INSERT INTO event_logs" in data and event in data and step in data

    requests = {
        "in the middle": stored(b"STEP_START", b"staging_collection"),
        "after the promotion": stored(b"'ASSET_MATERIALIZATION'", b"production_collection"),
    }
    return requests.get(moment)


def refreshed(storage: StorageInTrouble) -> Printed:
    return run_command(storage.scene, "refresh", **storage.environment)


def results(folder: Path) -> dict[tuple[str, Trouble, Moment], Result]:
    """Return the results of all troubles."""
    story = tell(new_scene(folder / "story"))
    return {
        (NAME, trouble, moment): result_of(trouble, moment, story, folder / f"{trouble} {moment}")
        for trouble, moment in itertools.product(TROUBLES, MOMENTS)
    }


def materialized(storage: StorageInTrouble) -> str:
    process = materialize(storage.scene, **storage.environment)
    return finished(process).output


def sentence_in(printed: str) -> str:
    """Return the sentence about Dagster's storage in the output of a command, in one line. "" if there is none."""
    said = _SENTENCE.search(" ".join(printed.split()))
    return said[0] if said else ""


def result_of(trouble: Trouble, moment: Moment, story: Story, folder: Path) -> Result:
    """Refresh in trouble, then without it.

    Raises:
        AssertionError: production is neither as before nor complete, or the text does not help.
    """
    folder.mkdir(parents=True, exist_ok=True)
    storage = StorageInTrouble(story.before.copy_to(folder / "home"))
    scene = storage.scene
    try:
        before = points_in_production(scene)
        storage.begin(trouble, moment)
        printed = refreshed(storage)
        assert storage.proxy.has_begun, "there was no trouble"
        storage.proxy.end()
        after = points_in_production(scene)
        production: Production = "as before" if scene.production() == story.before.production() else "new"
        assert after == (before if production == "as before" else points_in_production(story.after))
        said = storage.plain(sentence_in(printed.output))
        assert PASSWORD not in printed.output + printed.errors
        assert "Traceback" not in printed.output + printed.errors
        again = refreshed(storage)
        assert again.code == 0, again.output + again.errors
        assert_same_end(scene, story.after)
        assert said or (printed.code == 0 and trouble == "one answer lost"), printed.output + printed.errors
        return Result(production, (said,) if said else ())
    finally:
        storage.close()
        shutil.rmtree(scene.home, ignore_errors=True)

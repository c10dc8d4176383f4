"""Real processes on PostgreSQL and Redis, with wrong passwords, and everything that the UI of Dagster shows of their runs."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rag_assets_tests.leaks.canaries import canary, canary_of, in_url_of, names_of
from rag_assets_tests.leaks.scanner import canaries_in, canaries_in_folder, rows_of_postgres, values_of_redis
from rag_assets_tests.leaks.scenes import DAGSTER_YAML, LeakScene
from rag_assets_tests.leaks.test_failures import WITH_DEBUG_LOGS
from rag_assets_tests.leaks.ui import webserver
from rag_assets_tests.redis_servers import redis_server
from rag_assets_tests.sources.scenes.postgres_server import server_port
from rag_assets_tests.tracking.conftest import new_postgres_url

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
PLANTED = 998
PRODUCTION_YAML = DAGSTER_YAML.parent / "deployment" / "dagster.yaml"


def variables_of_dagster(home: Path) -> dict[str, str]:
    """Create a database with a user, whose password is a canary, and return the variables of deployment/dagster.yaml."""
    import psycopg
    from psycopg import sql

    name, password = f"dagster_{uuid.uuid4().hex}", canary_of("DAGSTER_POSTGRES_PASSWORD")
    with psycopg.connect(new_postgres_url(), autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
    return {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(server_port()),
        "DAGSTER_POSTGRES_DB": name,
        "DAGSTER_POSTGRES_USER": name,
        "DAGSTER_POSTGRES_PASSWORD": password,
        "DAGSTER_LOCAL_FOLDER": str(home / "local"),
    }


def run(home: Path, *command: str) -> str:
    """Run a command in the environment of the test, and keep what it prints in the folder that is scanned."""
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        cwd=home, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False,
    )  # fmt: skip
    with (home / "printed.txt").open("ab") as file:
        file.write(done.stdout)
    return done.stdout.decode(errors="replace")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[LeakScene]:
    text = DAGSTER_YAML.read_text()
    with pytest.MonkeyPatch.context() as patch:
        scene = LeakScene(tmp_path, patch, text)
        yield scene
        scene.close()


def use_file_system_of_fsspec(scene: LeakScene) -> None:
    """Other processes do not know the one of these tests."""
    path = scene.inputs / "sources.yaml"
    declared = yaml.safe_load(path.read_text())
    headers = {"Authorization": f"Bearer {canary_of('fsspec.storage_options')}"}
    declared["sources"]["fsspec"] |= {
        "url": f"http://127.0.0.1:{scene.server.port}/documents?token={in_url_of('fsspec.url')}",
        "storage_options": {"client_kwargs": {"headers": headers}},
    }
    path.write_text(yaml.safe_dump(declared))


@pytest.mark.parametrize("storage", ["SQLite", "PostgreSQL"])
def test_no_canary_is_in_the_storage_of_dagster_or_in_its_ui(
    storage: str, scene: LeakScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = scene.pipeline.home
    scene.server.kind = "401"
    scene.use_secrets(monkeypatch)
    scene.use_sources(monkeypatch)
    use_file_system_of_fsspec(scene)
    configuration = DAGSTER_YAML.read_text()
    if storage == "PostgreSQL":
        configuration = PRODUCTION_YAML.read_text()
        for name, value in variables_of_dagster(home).items():
            monkeypatch.setenv(name, value)
    (home / "dagster.yaml").write_text(
        configuration.replace("python_logs:\n  python_log_level: INFO\n", WITH_DEBUG_LOGS)
    )
    with redis_server(tmp_path / "redis", "user rag on >another ~* +@all") as redis:
        # The password of Redis is wrong, and that of the metadata tables too.
        path = scene.inputs / "RAG_METADATA_URL"
        path.write_text(
            f"postgresql://postgres:{in_url_of('RAG_METADATA_URL')}@127.0.0.1:{server_port()}/postgres"
        )
        refused = run(home, "rag-assets", "refresh", "--verbose")
        monkeypatch.setenv("REDIS_URL", f"redis://rag:{in_url_of('REDIS_URL')}@127.0.0.1:{redis.port}")
        failed = run(home, "rag-assets", "refresh", "--verbose")
        assert "refuses the login of user rag" in failed, failed[-3000:]
        # As the UI and the daemon would, and then with the right password: the state is in Redis.
        run(home, "dagster", "asset", "materialize", "-m", "rag_assets.definitions", "--select", "*")
        redis.client().acl_setuser("rag", passwords=[f"+{canary_of('REDIS_URL')}"], reset_passwords=True,
                                   enabled=True, keys=["*"], commands=["+@all"])  # fmt: skip
        degraded = run(home, "rag-assets", "refresh")
        assert "source notion" in degraded, degraded[-3000:]
        in_redis = values_of_redis(redis.client())
    assert refused
    found = {"Redis": canaries_in(in_redis)}
    assert b"rag:" in in_redis

    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = list(instance.get_runs())
        instance.add_run_tags(runs[0].run_id, {"planted": canary(PLANTED)})
        run_ids = [one.run_id for one in runs]
    with webserver(home, os.environ) as ui:
        answers = ui.everything(*run_ids)
    planted = {query for query, answer in answers.items() if f"{PLANTED}" in canaries_in(answer)}
    assert any(query.startswith("runsOrError") for query in planted), "the scan of the UI would find nothing"
    found |= {query: canaries_in(answer) for query, answer in answers.items()}
    if storage == "PostgreSQL":
        rows = rows_of_postgres(
            f"postgresql://postgres:{in_url_of_superuser()}@127.0.0.1:{server_port()}/postgres"
        )
        assert str(PLANTED) in canaries_in(rows)
        found["PostgreSQL"] = canaries_in(rows)
    found |= canaries_in_folder(home)
    assert len(run_ids) >= 4
    leaks = {place: names_of(numbers - {str(PLANTED)}) for place, numbers in found.items()}
    assert {place: names for place, names in leaks.items() if names} == {}


def in_url_of_superuser() -> str:
    from urllib.parse import quote

    from rag_assets_tests.sources.scenes.postgres_server import PASSWORD

    return quote(PASSWORD)

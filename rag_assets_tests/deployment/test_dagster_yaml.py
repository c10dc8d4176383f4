"""deployment/dagster.yaml on a real PostgreSQL: events, queue, and outputs of steps in a folder or on S3."""

import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from rag_assets_tests.moto_server import moto_server, use_credentials
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deployment" / "dagster.yaml"


@dg.asset
def printing() -> None:
    print("printed by a step")


@pytest.fixture(scope="module")
def port() -> int:
    port = server_port()
    with psycopg.connect(
        f"host=127.0.0.1 port={port} user=postgres password={PASSWORD}", autocommit=True
    ) as admin:
        admin.execute("CREATE DATABASE dagster_of_the_stack")
    return port


@pytest.fixture
def home(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    values = {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(port),
        "DAGSTER_POSTGRES_DB": "dagster_of_the_stack",
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
        "DAGSTER_LOCAL_FOLDER": str(tmp_path / "files"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(FILE.read_text())
    return home


def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    yield from opened(home)


def run_once(instance: dg.DagsterInstance) -> str:
    done = dg.materialize([printing], instance=instance)
    assert done.success
    return done.run_id


@pytest.mark.slow
def test_runs_and_events_are_in_postgresql(instance: dg.DagsterInstance, port: int) -> None:
    run_id = run_once(instance)
    with psycopg.connect(
        f"host=127.0.0.1 port={port} user=postgres password={PASSWORD} dbname=dagster_of_the_stack"
    ) as reader:
        assert reader.execute("SELECT status FROM runs WHERE run_id = %s", [run_id]).fetchone() == (
            "SUCCESS",
        )
        materialized = "SELECT count(*) FROM event_logs WHERE run_id = %s AND dagster_event_type = %s"
        assert reader.execute(materialized, [run_id, "ASSET_MATERIALIZATION"]).fetchone() == (1,)


@pytest.mark.slow
def test_runs_are_queued_watched_and_nothing_is_reported_to_others(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert instance.run_monitoring_enabled
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    retention = instance.get_tick_retention_settings(dg._core.definitions.run_request.InstigatorType.SENSOR)
    assert all(days > 0 for days in retention.values())


@pytest.mark.slow
def test_outputs_of_steps_are_in_the_shared_folder(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run_once(instance)
    outputs = [path.read_text() for path in (tmp_path / "files").rglob("*.out")]
    assert any("printed by a step" in output for output in outputs)


@pytest.mark.slow
def test_the_lines_for_s3_put_outputs_into_a_bucket(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = moto_server()
    use_credentials(monkeypatch)
    bucket = server.new_bucket()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("DAGSTER_LOGS_BUCKET", bucket)
    text = FILE.read_text()
    local = text[text.index("compute_logs:") : text.index("# Outputs of steps on S3")]
    assert local.count("\n") == 5
    on_s3 = text.replace(local, "")
    on_s3 = re.sub(
        r"^#(compute_logs:\n(#.*\n)+)", lambda block: block[0].replace("#", ""), on_s3, flags=re.MULTILINE
    )
    (home / "dagster.yaml").write_text(on_s3)
    for instance in opened(home):
        run_once(instance)
    client = server.client("s3")
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]
    bodies = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    assert any(b"printed by a step" in body for body in bodies)

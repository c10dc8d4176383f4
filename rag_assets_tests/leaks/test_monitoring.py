"""Prometheus, Alertmanager and the process for MLflow as they run beside a knowledge base: no canary in what they keep or show."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from pydantic import SecretStr

from rag_assets.defs.mlflow.reports import report_address
from rag_assets.errors import MlflowUnavailable
from rag_assets.settings import Settings, load_settings
from rag_assets.tracking import mlflow_observer
from rag_assets.tracking.mlflow_observer import MlflowObserver
from rag_assets_tests.deployment.test_prometheus import ROOT, configured, post_alerts
from rag_assets_tests.leaks.canaries import OF_LIBRARIES, canary_of
from rag_assets_tests.leaks.command_lines import watched_command_lines
from rag_assets_tests.leaks.scanner import canaries_in, canaries_in_folder
from rag_assets_tests.leaks.scenes import form_of_setting
from rag_assets_tests.leaks.servers import KINDS, FailingServer
from rag_assets_tests.mlflow_servers import wait_for_sender
from rag_assets_tests.optional_packages import require_unimported
from rag_assets_tests.prometheus_servers import alertmanager, get, prometheus, running
from rag_assets_tests.redis_servers import free_port
from rag_assets_tests.slack_receiver import SlackReceiver
from rag_assets_tests.tracking.sample_records import run_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SILENT = ("refused", "hanging", "dropped", "untrusted", "redirect")
"""Kinds of failures without a text in the answer."""
_WAIT_SECONDS = 60
_ALERTMANAGER_PAGES = ("api/v2/status", "api/v2/alerts", "api/v2/receivers", "metrics", "debug/pprof/cmdline")
_PROMETHEUS_PAGES = (
    "status/config",
    "status/flags",
    "status/runtimeinfo",
    "targets",
    "alertmanagers",
    "rules",
)


def kinds(*in_plain_runs: str) -> list[object]:
    return [pytest.param(kind, marks=() if kind in in_plain_runs else pytest.mark.soak) for kind in KINDS]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingServer]:
    for name in (*(str(field.alias) for field in Settings.model_fields.values()), *OF_LIBRARIES):
        monkeypatch.delenv(name, raising=False)
    with FailingServer(tmp_path) as server:
        yield server


@pytest.mark.parametrize(
    "kind",
    ["an answer of Slack", *(pytest.param(kind, marks=pytest.mark.soak) for kind in (*SILENT, "no URL"))],
)
def test_alertmanager_keeps_and_shows_no_webhook(
    kind: str, home: Path, tmp_path: Path, server: FailingServer
) -> None:
    """Its log quotes the answer of a server, so no server here repeats the address. See docs/operations.md."""
    server.kind = kind if kind in KINDS else "500"
    webhook = form_of_setting("SLACK_WEBHOOK_URL", server)
    with SlackReceiver(404, body=b"no_service") as slack:
        if kind == "an answer of Slack":
            webhook = webhook.replace(str(server.port), str(urlsplit(slack.url).port))
        if kind == "no URL":
            webhook = f"https://[{canary_of('SLACK_WEBHOOK_URL')}"
        configuration = configured(tmp_path)
        (tmp_path / "slack_webhook_url").write_text(webhook + "\n")
        with watched_command_lines() as command_lines, alertmanager(home, configuration) as url:
            post_alerts(url, "RagRunDied")
            deadline = time.monotonic() + _WAIT_SECONDS
            while "otify" not in (home / "alertmanager.log").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            pages = b"".join(get(f"{url}/{page}") for page in _ALERTMANAGER_PAGES)
    assert b"api_url_file" in pages
    assert canaries_in(pages) == set()
    assert canaries_in_folder(home) == {}
    assert command_lines == {}


@pytest.mark.parametrize("kind", kinds("500"))
def test_metrics_and_prometheus_show_no_secret(
    kind: str, home: Path, server: FailingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.kind = kind
    for name in (
        "RAG_METADATA_URL",
        "RAG_PUSHGATEWAY_URL",
        "OPENAI_API_KEY",
        "SLACK_WEBHOOK_URL",
        "REDIS_URL",
        *OF_LIBRARIES,
    ):
        if not name.endswith("_PROXY"):
            monkeypatch.setenv(name, form_of_setting(name, server))
    port = free_port()
    monkeypatch.setenv("RAG_METRICS_PORT", str(port))
    monkeypatch.setenv("RAG_HOME", str(home))
    configuration = yaml.safe_load((ROOT / "deployment" / "prometheus" / "prometheus.yml").read_text())
    configuration["global"]["scrape_interval"] = "1s"
    configuration["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    configuration["scrape_configs"] = configuration["scrape_configs"][:1]
    configuration["rule_files"] = [str(ROOT / "deployment" / "prometheus" / "rules.yml")]
    rag_assets = Path(sys.executable).with_name("rag-assets")
    exporter = f"http://127.0.0.1:{port}/metrics"
    with (
        watched_command_lines() as command_lines,
        running([rag_assets, "metrics"], exporter, home / "metrics.log"),
    ):
        pages = get(exporter)
        with prometheus(home, configuration) as watcher:
            watcher.wait_for("rag_metrics_up")
            pages += b"".join(get(f"{watcher.url}/api/v1/{page}") for page in _PROMETHEUS_PAGES)
            pages += json.dumps(watcher.query('{__name__=~".+"}')).encode()
    pushed = subprocess.run(
        [rag_assets, "metrics", "--push"], cwd=home, capture_output=True, check=False, timeout=120
    )
    assert b"rag_metrics_up" in pages
    assert canaries_in(pages + pushed.stdout + pushed.stderr) == set()
    assert canaries_in_folder(home) == {}
    assert command_lines == {}


@dg.job
def nothing() -> None:
    """A job without steps."""


@pytest.mark.soak  # two processes that import MLflow; plain runs have those of `test_mlflow_observer`
@pytest.mark.parametrize("kind", KINDS)
def test_records_and_warnings_of_mlflow_hold_no_secret(
    kind: str,
    home: Path,
    server: FailingServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    require_unimported("mlflow", "dagster_mlflow")
    server.kind = kind
    monkeypatch.setattr(mlflow_observer, "SENDING_SECONDS", 30.0)
    monkeypatch.setattr(mlflow_observer, "_EXAMINATION_SECONDS", 60.0)
    monkeypatch.setenv("RAG_HOME", str(home))
    (home / "dagster").mkdir()
    settings = load_settings(
        **{
            name.lower(): SecretStr(form_of_setting(name, server))
            for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
        },
        mlflow_tracking_username="rag",
    )
    observer = MlflowObserver(settings, home / "tracking")
    with (
        watched_command_lines() as command_lines,
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home / "dagster"))) as instance,
    ):
        run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.SUCCESS)
        observer.put(run_record("r1", 1, "blocked", reason="x"))
        observer.send(report_address(instance, run.run_id))
        wait_for_sender(observer.outbox.folder)
        told = [entry.message for entry in instance.all_logs(run.run_id)]
    assert told, "the sender has said nothing"
    lag = observer.lag()
    assert lag is not None
    with pytest.raises(MlflowUnavailable) as error:
        observer.examine()
    said = "\n".join((*told, str(lag), str(error.value), observer.place, caplog.text))
    assert "127.0.0.1" in said
    assert canaries_in(said.encode()) == set()
    assert canaries_in_folder(home) == {}
    assert command_lines == {}

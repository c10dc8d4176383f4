"""The files for Prometheus and Alertmanager, with the real programs: every alert fires and does not, and reaches Slack."""

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_assets.tracking.prometheus_metrics import METRICS
from rag_assets_tests.prometheus_servers import alertmanager, get, require_executable
from rag_assets_tests.slack_receiver import SlackReceiver

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deployment" / "prometheus" / "rules.yml"
ALERTMANAGER = ROOT / "deployment" / "alertmanager" / "alertmanager.yml"
RULE_TESTS = Path(__file__).with_name("prometheus") / "rules_test.yml"
WEBHOOK_FILE = "/run/secrets/slack_webhook_url"
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
_WAIT_SECONDS = 180


def checked(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_are_valid() -> None:
    promtool, amtool = require_executable("promtool"), require_executable("amtool")
    checked(promtool, "check", "config", ROOT / "deployment" / "prometheus" / "prometheus.yml")
    checked(amtool, "check-config", ALERTMANAGER)


@pytest.mark.slow
def test_every_rule_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    tests = RULE_TESTS.read_text().replace("[RULES]", f"[{RULES}]")
    (tmp_path / "tests.yml").write_text(tests)
    checked(require_executable("promtool"), "test", "rules", tmp_path / "tests.yml")


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    tested: dict[str, set[bool]] = {}
    for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for one in test["alert_rule_test"]:
            tested.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert tested == {alert["alert"]: {True, False} for alert in ALERTS}


def test_every_alert_has_its_entry_in_the_guide() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    entries = re.findall(r"^### (Rag\w+)\n\n((?:.+\n|\n(?!#))+)", page, re.MULTILINE)
    assert [name for name, _ in entries] == [alert["alert"] for alert in ALERTS]
    for _, text in entries:
        parts = [found.rstrip(".") for found in re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE)]
        assert parts == ["Meaning", "Look at", "Do"]
    for alert in ALERTS:
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"
        assert alert["annotations"].keys() == {"summary", "description", "runbook"}


def test_every_metric_of_the_rules_is_exported() -> None:
    exported = {metric.exported_name for metric in METRICS}
    named = {name for alert in ALERTS for name in re.findall(r"\brag_\w+", alert["expr"])}
    assert named
    assert named <= exported


def test_prometheus_scrapes_the_exporter_of_the_stack() -> None:
    scraped = yaml.safe_load((ROOT / "deployment" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["metrics"]
    port = service["environment"]["RAG_METRICS_PORT"]
    [job] = [one for one in scraped if one["job_name"] == "rag-assets"]
    assert job["static_configs"] == [{"targets": [f"metrics:{port}"]}]
    assert f"127.0.0.1:{port}/metrics" in service["healthcheck"]["test"][-1]


def configured(folder: Path) -> Path:
    """Write the configuration of the stack with its secret in this folder, and no wait for more alerts."""
    text = ALERTMANAGER.read_text()
    for before, after in (
        (WEBHOOK_FILE, str(folder / "slack_webhook_url")),
        ("group_wait: 30s", "group_wait: 1s"),
        ("group_interval: 5m", "group_interval: 1s"),
    ):
        assert before in text
        text = text.replace(before, after)
    path = folder / "alertmanager.yml"
    path.write_text(text)
    return path


def post_alerts(url: str, *names: str) -> None:
    alerts = [
        {
            "labels": {"alertname": name, "knowledge_base": "handbook", "severity": "warning"},
            "annotations": {
                "summary": f"{name} of handbook.",
                "description": "42 of 43.",
                "runbook": f"docs/operations.md#{name.lower()}",
            },
        }
        for name in names
    ]
    request = urllib.request.Request(
        f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


def wait_for_messages(slack: SlackReceiver, number: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + _WAIT_SECONDS
    while len(slack.messages) < number:
        assert time.monotonic() < deadline, "no message came"
        time.sleep(0.05)
    return slack.messages


@pytest.mark.slow
def test_a_storm_is_one_message_with_numbers_and_the_answer_to_each(tmp_path: Path) -> None:
    with SlackReceiver() as slack, alertmanager(tmp_path, configured(tmp_path)) as url:
        # An editor adds a line end to the file.
        (tmp_path / "slack_webhook_url").write_text(slack.url + "\n")
        names = [f"RagAlert{number}" for number in range(20)]
        post_alerts(url, *names)
        [message] = wait_for_messages(slack, 1)
        [attachment] = message["attachments"]
        assert attachment["title"] == "20 firing: knowledge base handbook"
        for name in names:
            assert (
                f"*{name}*: {name} of handbook. 42 of 43. What to do: docs/operations.md#{name.lower()}"
                in (attachment["text"])
            )


@pytest.mark.slow
def test_it_starts_without_a_webhook_and_takes_one_later(tmp_path: Path) -> None:
    with SlackReceiver() as slack, alertmanager(tmp_path, configured(tmp_path)) as url:
        post_alerts(url, "RagRunDied")
        shown = json.loads(get(f"{url}/api/v2/alerts"))
        assert [one["labels"]["alertname"] for one in shown] == ["RagRunDied"]
        (tmp_path / "slack_webhook_url").write_text(slack.url)
        [message] = wait_for_messages(slack, 1)
        assert "RagRunDied" in message["attachments"][0]["text"]

"""Seven real refreshes with the services of the stack on loopback: Redis, PostgreSQL, MLflow, Prometheus, Alertmanager.

Every query of every panel and rule is compared with Dagster's own events, and the costs of each run in all places.
"""

import contextlib
import json
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from rag_assets.defs.runs.record import failure_of, metadata_of
from rag_assets.embedders.probe import PROBE_TEXTS
from rag_assets.latencies import BOUNDS_SECONDS
from rag_assets_tests.cli.test_metrics_exporter import exporter
from rag_assets_tests.dashboards import DASHBOARDS
from rag_assets_tests.deployment.test_dagster_yaml import FILE as DAGSTER_YAML_OF_STACK
from rag_assets_tests.deployment.test_dashboards import expressions, read
from rag_assets_tests.deployment.test_prometheus import ALERTS, RULES, configured, wait_for_messages
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, words
from rag_assets_tests.mlflow_servers import FoundRun, MlflowServer, mlflow_server, runs_in
from rag_assets_tests.processes.kill_points import kill_at
from rag_assets_tests.processes.refresh_process import RefreshProcess
from rag_assets_tests.processes.scene import (
    Scene,
    change_documents,
    dagster_instance,
    new_scene,
    text_about,
)
from rag_assets_tests.prometheus_servers import Prometheus, alertmanager, prometheus
from rag_assets_tests.redis_servers import redis_server
from rag_assets_tests.slack_receiver import SlackReceiver
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port
from rag_assets_tests.tracking.conftest import ask, new_postgres_url

MODEL = "text-embedding-3-small"
USD_PER_MILLION = 1000.0
OUTCOMES = ["live", "unchanged", "live", "blocked", "live", "died", "live"]
FIRING = {"RagRunDied", "RagQuarantineGrowth"}
Labels = frozenset[tuple[str, str]]
Series = dict[str, dict[Labels, float]]
_SELECTOR = r"rag_\w+\{[^}]*\}"


def priced(base_url: str, point: str = "") -> None:
    """In the process of a run: give the model behind the local server a price, and perhaps die at a point."""
    from rag_assets.embedders import openai

    openai.OPENAI_BASE_URL = base_url
    openai.USD_PER_MILLION_TOKENS[MODEL] = USD_PER_MILLION
    if point:
        kill_at(point)


@dataclass
class History:
    """Refreshes of one knowledge base, and what Dagster and the model saw of them."""

    scene: Scene
    server: FakeOpenAI
    services: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.services,
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": self.server.base_url,
            "RAG_EMBEDDING_MODEL": MODEL,
        }

    def refresh(self, code: int = 0, point: str = "", **environment: str) -> None:
        process = RefreshProcess(
            self.scene, priced, (self.server.base_url, point), self.environment | environment
        )
        assert process.wait() == code, process.log()

    def write(self, name: str, content: str | bytes) -> None:
        path = self.scene.documents / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def play(self) -> None:
        self.refresh()
        self.refresh()
        change_documents(self.scene.documents)
        for number in range(10):
            self.write(f"broken{number}.pdf", f"%PDF-1.7 broken {number}")
        self.refresh()
        self.write("vacation.md", text_about("vacation", edition=2))
        self.refresh(1, RAG_EVAL_THRESHOLD="0.999")
        self.refresh()
        self.write("expenses.md", text_about("expenses", edition=2))
        self.refresh(-9, "before the promotion")
        self.refresh()

    def tokens(self, told: "Told") -> dict[str, float]:
        """Return purpose -> billed tokens: of documents as Dagster tells them, of all others as the model counts them."""
        texts = [text for request in self.server.requests for text in request.texts]
        questions = {json.loads(line)["query"] for line in self.scene.benchmark.read_text().splitlines()}
        found = {
            "documents": told.sum("embeddings", "num_tokens"),
            "probe": float(sum(len(words(text)) for text in texts if text in PROBE_TEXTS)),
            "questions": float(sum(len(words(text)) for text in texts if text in questions)),
        }
        assert sum(found.values()) == sum(len(words(text)) for text in texts)
        assert sum(found.values()) == told.sum("eval_report", "run_tokens")
        return found


@dataclass
class Told:
    """The runs as Dagster's events tell them, the oldest first: asset -> key -> value."""

    runs: list[dict[str, dict[str, Any]]]
    outcomes: list[str]
    records: list[dg.RunRecord]
    steps: list[dict[str, float]]

    def sum(self, asset: str, *keys: str) -> float:
        found = [run.get(asset, {}).get(key) or 0 for run in self.runs for key in keys]
        return sum(one for one in found if not isinstance(one, str))

    def last(self, asset: str, key: str = "") -> dict[str, Any]:
        """Return the metadata of the last run with an asset, and with a value other than 0."""
        return self.runs[self.number_of_last(asset, key)][asset]

    def number_of_last(self, asset: str, key: str) -> int:
        return max(n for n, run in enumerate(self.runs) if asset in run and (not key or run[asset].get(key)))

    def classes(self, asset: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for run in self.runs:
            for bound, count in run.get(asset, {}).get("latency", {}).items():
                found[bound] = found.get(bound, 0) + count
        return found


def told_by_dagster(scene: Scene) -> Told:
    with dagster_instance(scene) as instance:
        records = list(reversed(instance.get_run_records()))
        ids = [record.dagster_run.run_id for record in records]
        runs = [metadata_of(instance, run_id) for run_id in ids]
        outcomes = []
        for record, run in zip(records, runs, strict=True):
            failure = failure_of(instance, record.dagster_run.run_id)
            promoted = run.get("production_collection", {}).get("outcome")
            dead = "died" if record.end_time is None else "failed"
            outcomes.append(promoted or (failure.outcome.value if failure else dead))
        steps = [
            {
                one.step_key: one.end_time - one.start_time
                for one in instance.get_run_step_stats(run_id)
                if one.start_time and one.end_time
            }
            for run_id in ids
        ]
    return Told(runs, outcomes, records, steps)


def labels(**values: str) -> Labels:
    return frozenset(values.items())


def expected_series(told: Told, tokens: dict[str, float]) -> Series:
    """Return all that Dagster's events say, by series."""
    spent = {labels(model=MODEL, purpose=purpose): count for purpose, count in tokens.items()}
    found: Series = {
        "rag_embedding_tokens_total": spent,
        "rag_embedding_cost_usd_total": {key: n * USD_PER_MILLION / 1e6 for key, n in spent.items()},
        "rag_embedding_unpriced_tokens_total": dict.fromkeys(spent, 0),
        "rag_tokens_saved_total": {
            labels(by="cache"): told.sum("embeddings", "cached_tokens"),
            labels(by="deduplication"): told.sum("staging_collection", "kept_tokens"),
        },
        "rag_usd_saved_total": {
            labels(by="cache"): told.sum("embeddings", "usd_saved"),
            labels(by="deduplication"): told.sum("staging_collection", "usd_saved"),
        },
        "rag_refreshes_total": {
            labels(outcome=one): told.outcomes.count(one)
            for one in (
                *("live", "unchanged", "held", "superseded", "blocked", "refused", "failed", "canceled"),
                *("died", "partial"),
            )
        },
    }
    found["rag_last_outcome"] = {
        key: float(dict(key)["outcome"] == told.outcomes[-1]) for key in found["rag_refreshes_total"]
    }
    raw, compared = told.last("raw_documents"), told.last("deduped_documents")
    skipped = ("num_unchanged", "num_moved", "num_duplicate", "num_omitted")
    known = sum(compared.get(key) or 0 for key in skipped)
    served, upsert = told.last("production_collection"), told.last("staging_collection", "num_points_added")
    plain = {
        "rag_metrics_up": 1,
        "rag_waiting_records": 0,
        "rag_held": 0,
        "rag_eval_threshold": 0.75,
        "rag_documents_extracted_total": told.sum("raw_documents", "num_parsed"),
        "rag_documents_deduplicated_new_total": told.sum("deduped_documents", "num_added", "num_updated"),
        "rag_documents_deduplicated_skipped_total": told.sum("deduped_documents", *skipped),
        "rag_deduplication_cache_hit_rate": known
        / (known + (compared["num_added"] or 0) + (compared["num_updated"] or 0)),
        "rag_documents_quarantined": raw["num_quarantined"],
        "rag_chunks_created_total": told.sum("chunks", "num_chunks"),
        "rag_chunks_embedded_total": told.sum("embeddings", "num_embedded"),
        "rag_chunks_cached_total": told.sum("embeddings", "num_cached"),
        "rag_points_upserted_total": told.sum("staging_collection", "num_points_added"),
        "rag_upsert_seconds_total": told.sum("staging_collection", "upsert_seconds"),
        "rag_upsert_points_per_second": upsert["num_points_added"] / upsert["upsert_seconds"],
        "rag_production_documents": served["num_documents"],
        "rag_production_points": served["num_points"],
        "rag_gate_failures_total": told.outcomes.count("blocked"),
        "rag_died_runs_total": told.outcomes.count("died"),
        "rag_promotions_total": told.outcomes.count("live"),
        "rag_rollbacks_total": 0,
        "rag_embedding_latency_seconds_count": sum(told.classes("embeddings").values())
        - told.classes("embeddings")["sum"],
    }
    found |= {name: {labels(): float(value)} for name, value in plain.items()}
    found["rag_files_left_out"] = {
        labels(reason="no_parser"): raw.get("num_skipped_files") or 0,
        labels(reason="no_model"): raw.get("num_left_out") or 0,
    }
    found["rag_source_complete"] = {labels(source="filesystem"): 1.0}
    scores = told.last("eval_report")
    for score in ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10"):
        # The last candidate was promoted.
        found[f"rag_eval_{score}"] = {
            labels(generation=one): scored(scores, score) for one in ("candidate", "production")
        }
    milliseconds = re.findall(r"p(\d\d) ([\d.]+) ms", scores["latency"])
    found["rag_eval_query_latency_ms"] = {
        labels(quantile=f"{int(share) / 100:g}"): float(value) for share, value in milliseconds
    }
    return found | _speeds(told)


def scored(scores: dict[str, Any], name: str) -> float:
    [value] = [value for key, value in scores.items() if key.endswith(name) and isinstance(value, float)]
    return value


def _speeds(told: Told) -> Series:
    """Return the gauges whose time Dagster measures around ours."""
    parsing = told.number_of_last("raw_documents", "num_parsed")
    added = told.number_of_last("staging_collection", "num_points_added")
    seconds = sum(told.steps[added][step] for step in ("chunks", "embeddings", "staging_collection"))
    last = told.records[-1]
    assert last.end_time is not None
    assert last.start_time is not None
    plain = {
        "rag_documents_per_minute": told.runs[parsing]["raw_documents"]["num_parsed"]
        * 60
        / told.steps[parsing]["raw_documents"],
        "rag_chunks_per_minute": told.runs[added]["chunks"]["num_chunks"] * 60 / seconds,
        "rag_last_run_duration_seconds": last.end_time - last.start_time,
    }
    return {name: {labels(): value} for name, value in plain.items()}


APPROXIMATE = {"rag_documents_per_minute", "rag_chunks_per_minute", "rag_last_run_duration_seconds"}


def quantile_of(share: float, classes: dict[str, float]) -> float:
    """Return a quantile as Prometheus defines it: linear within its class."""
    total = sum(count for bound, count in classes.items() if bound != "sum")
    rank, below, lower = share * total, 0.0, 0.0
    for bound in BOUNDS_SECONDS:
        count = classes.get(str(bound), 0.0)
        if below + count >= rank and count:
            return lower + (bound - lower) * (rank - below) / count
        below, lower = below + count, bound
    return BOUNDS_SECONDS[-1]


def selected(selector: str, series: Series) -> dict[Labels, float]:
    """Return the expected values of a selector, without its own labels."""
    name, _, inner = selector.rstrip("}").partition("{")
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', inner))
    assert wanted.pop("knowledge_base") == "knowledge_base"
    return {key: value for key, value in series[name].items() if wanted.items() <= dict(key).items()}


@dataclass
class Checks:
    """Compares queries with Dagster's events.

    Attributes:
        begun_at: after the first scrape, before the first run.
        now: after the last run.
    """

    server: Prometheus
    told: Told
    series: Series
    begun_at: float
    now: float

    def query(self, expression: str) -> dict[Labels, float]:
        duration = f"{(self.now - self.begun_at) * 1000:.0f}ms"
        for variable in ("$__interval", "$__range", "offset 1m"):
            kept = "offset " if variable.startswith("offset") else ""
            expression = expression.replace(variable, kept + duration)
        expression = expression.replace("$knowledge_base", "knowledge_base")
        return {
            frozenset(
                (name, value)
                for name, value in one["metric"].items()
                if name not in ("__name__", "job", "instance", "knowledge_base", "le")
            ): float(one["value"][1])
            for one in self.server.query(expression, time=self.now)
        }

    def check(self, template: str) -> None:
        """Compare one query of a dashboard."""
        found = self.query(template)
        expression = template.replace("$knowledge_base", "knowledge_base")
        selectors = re.findall(_SELECTOR, expression)
        name = selectors[0].partition("{")[0]
        if expression.startswith("time() - "):
            self._check_time(found, name)
            return
        if expression.startswith("histogram_quantile"):
            share = float(expression.partition("(")[2].partition(",")[0])
            asset = "raw_documents" if "extraction" in name else "embeddings"
            expected = {labels(): quantile_of(share, self.told.classes(asset))}
        else:
            expected = self._expected(expression, selectors)
        if name in APPROXIMATE:
            self._check_speed(found, expected, name)
            return
        tolerance = {"rel": 1e-9, "abs": 1e-4}
        if "latency_ms" in name:
            tolerance = {"abs": 0.06}
        assert found == {key: pytest.approx(value, **tolerance) for key, value in expected.items()}, template

    def _expected(self, expression: str, selectors: list[str]) -> dict[Labels, float]:
        values = selected(selectors[0], self.series)
        if " >= bool " in expression:
            [threshold] = selected(selectors[1], self.series).values()
            return {key: float(value >= threshold) for key, value in values.items()}
        if expression.startswith("sum("):
            return {labels(): sum(values.values())}
        if expression.endswith(" == 1"):
            return {key: value for key, value in values.items() if value == 1}
        if expression.endswith(" > 0"):
            return {key: value for key, value in values.items() if value > 0}
        return values

    def _check_speed(self, found: dict[Labels, float], expected: dict[Labels, float], name: str) -> None:
        """Our times are within Dagster's, which has the writing of its events too."""
        assert found.keys() == expected.keys(), name
        for key, value in found.items():
            faster = expected[key] / value if "duration" in name else value / expected[key]
            assert 0.999 <= faster <= 50, (name, value, expected[key])

    def _check_time(self, found: dict[Labels, float], name: str) -> None:
        assert name in ("rag_last_success_timestamp_seconds", "rag_generation_timestamp_seconds")
        [age] = found.values()
        last = self.told.records[-1]
        assert last.start_time is not None
        assert last.start_time <= self.now - age <= self.now


def services(stack: contextlib.ExitStack, folder: Path) -> tuple[dict[str, str], MlflowServer]:
    """Start the services of the stack around a refresh. Return their variables, and MLflow."""
    name = f"dagster_{uuid.uuid4().hex}"
    login = f"host=127.0.0.1 port={server_port()} user=postgres password={PASSWORD}"
    with psycopg.connect(login, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    mlflow = stack.enter_context(mlflow_server(folder))
    variables = {
        "REDIS_URL": stack.enter_context(redis_server(folder / "redis")).url,
        "RAG_METADATA_URL": new_postgres_url(),
        "MLFLOW_TRACKING_URI": mlflow.url,
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(server_port()),
        "DAGSTER_POSTGRES_DB": name,
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
        "DAGSTER_LOCAL_FOLDER": str(folder / "files"),
    }
    return variables, mlflow


@pytest.mark.timeout(900)
def test_every_query_returns_what_dagster_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(FakeOpenAI())
        variables, mlflow = services(stack, tmp_path)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)  # for this process, which reads Dagster's events
        scene = new_scene(tmp_path / "scene", redis_url=variables["REDIS_URL"])
        shutil.copy(DAGSTER_YAML_OF_STACK, scene.home / "dagster.yaml")
        history = History(scene, server, variables)
        slack = stack.enter_context(SlackReceiver())
        (tmp_path / "slack_webhook_url").write_text(slack.url)
        alerts = stack.enter_context(alertmanager(tmp_path, configured(tmp_path)))
        url, _ = stack.enter_context(
            exporter(
                history.scene.home,
                RAG_STATE_DIR=str(history.scene.state_dir),
                RAG_COLLECTION="knowledge_base",
                **history.environment,
            )
        )
        watching = stack.enter_context(prometheus(tmp_path, watched(url, alerts, tmp_path)))
        watching.wait_for("rag_metrics_up == 1")
        begun_at = time.time()
        before = watching.query('{__name__=~"rag_.*(_total|_bucket|_count|_sum)"}', time=begun_at)
        assert len(before) > 40
        assert {float(one["value"][1]) for one in before} == {0.0}
        history.play()
        watching.wait_for(f"sum(rag_refreshes_total) == {len(OUTCOMES)}")
        messages = wait_for_messages_about(slack, FIRING)
        now = time.time()
        told = told_by_dagster(history.scene)
        assert told.outcomes == OUTCOMES
        series = expected_series(told, history.tokens(told))
        checks = Checks(watching, told, series, begun_at, now)
        templates = {one for name in DASHBOARDS for one in expressions(read(name))}
        templates.discard("label_values(rag_metrics_up, knowledge_base)")
        assert len(templates) > 50
        for template in sorted(templates):
            checks.check(template)
        firing = {alert["alert"] for alert in ALERTS if watching.query(alert["expr"], time=now)}
        assert firing == FIRING
        assert (
            watching.value("rag_documents_quarantined - min_over_time(rag_documents_quarantined[1d])") == 10
        )
        assert any("died" in message or "ended without a word" in message for message in messages)
        assert_costs_agree(checks, history, mlflow)


def watched(exporter_url: str, alertmanager_url: str, folder: Path) -> dict[str, Any]:
    """Return a configuration with the rules of the stack, scraping each second."""
    shutil.copy(RULES, folder / "rules.yml")
    target = exporter_url.removeprefix("http://").removesuffix("/metrics")
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]
        },
        "scrape_configs": [{"job_name": "rag-assets", "static_configs": [{"targets": [target]}]}],
    }


def wait_for_messages_about(slack: SlackReceiver, names: set[str]) -> list[str]:
    number = 0
    while True:
        number += 1
        texts = [str(message) for message in wait_for_messages(slack, number)]
        if all(any(name in text for text in texts) for name in names):
            return texts


def assert_costs_agree(checks: Checks, history: History, mlflow: MlflowServer) -> None:
    """Prometheus, PostgreSQL, MLflow and Dagster agree on each run, the killed one included, to a millionth of a dollar."""
    told = checks.told
    ids = [record.dagster_run.run_id for record in told.records]
    in_dagster = {
        run_id: run.get("eval_report", {}).get("run_cost_usd", 0.0)
        for run_id, run in zip(ids, told.runs, strict=True)
    }
    rows = ask(
        history.services["RAG_METADATA_URL"],
        "SELECT run_id, SUM(cost_usd) AS usd, SUM(num_tokens) AS tokens FROM rag_costs GROUP BY run_id",
    )
    in_tables = dict.fromkeys(ids, 0.0) | {row["run_id"]: float(row["usd"]) for row in rows}
    found = wait_for_runs(mlflow, ids)
    in_mlflow = {run.tags["dagster_run_id"]: run.metrics["cost_usd"] for run in found}
    assert [run.tags["outcome"] for run in found] == OUTCOMES
    assert in_tables == pytest.approx(in_dagster, abs=1e-6)
    assert in_mlflow == pytest.approx(in_dagster, abs=1e-6)
    [in_prometheus] = checks.query("sum(rag_embedding_cost_usd_total)").values()
    assert in_prometheus == pytest.approx(sum(in_dagster.values()), abs=1e-6)
    assert in_dagster[ids[OUTCOMES.index("died")]] > 0.01
    assert sum(row["tokens"] for row in rows) == told.sum("eval_report", "run_tokens")
    documents = 'sum(rag_embedding_cost_usd_total{purpose="documents"})'
    [documents_usd] = checks.query(documents).values()
    assert documents_usd == pytest.approx(told.sum("embeddings", "cost_usd"), abs=1e-6)


def wait_for_runs(mlflow: MlflowServer, ids: list[str], seconds: float = 180) -> list[FoundRun]:
    """Return the runs in the order of these ids. A refresh does not wait for MLflow."""
    give_up = time.monotonic() + seconds
    while True:
        found = {run.tags.get("dagster_run_id"): run for run in runs_in(mlflow.database, "knowledge_base")}
        if all(run_id in found and found[run_id].tags.get("is_complete") == "yes" for run_id in ids):
            return [found[run_id] for run_id in ids]
        assert time.monotonic() < give_up, found
        time.sleep(0.5)

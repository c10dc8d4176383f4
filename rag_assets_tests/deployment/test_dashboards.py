"""The dashboards of Grafana: built by the code, valid for its SDK, and about metrics that are exported."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from rag_assets.tracking.prometheus_metrics import METRICS
from rag_assets_tests.dashboards import DASHBOARDS, FOLDER, text_of
from rag_assets_tests.deployment.test_prometheus import ALERTS, ROOT
from rag_assets_tests.grafana_panels import SOURCE

NAMES = sorted(DASHBOARDS)


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def expressions(found: dict[str, Any]) -> Iterator[str]:
    """Yield the expressions of all panels, annotations and variables."""
    for panel in found["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in found["annotations"]["list"])
    yield from (one["query"] for one in found["templating"]["list"] if one["type"] == "query")


def series_in(expression: str) -> set[str]:
    return set(re.findall(r"\brag_[a-z0-9_]+", expression))


def exported_series() -> set[str]:
    found: set[str] = set()
    for metric in METRICS:
        endings = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        found |= {metric.exported_name + ending for ending in endings}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_the_code_builds(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == text_of(name), (
        "run python -m rag_assets_tests.dashboards"
    )


def test_there_are_no_other_files() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_file_fits_the_schema_of_grafana(name: str) -> None:
    def shorn(value: Any) -> Any:
        """Leave out the defaults that the SDK adds while it reads."""
        if isinstance(value, dict):
            return {key: shorn(one) for key, one in value.items() if one is not None}
        return [shorn(one) for one in value] if isinstance(value, list) else value

    found = read(name)
    again = shorn(json.loads(json.dumps(Dashboard.from_json(found), cls=JSONEncoder)))
    assert again == found
    identities = [panel["id"] for panel in found["panels"]]
    assert len(set(identities)) == len(identities)
    for panel in found["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@pytest.mark.parametrize("name", NAMES)
def test_every_series_of_a_dashboard_is_exported(name: str) -> None:
    named = set[str]().union(*map(series_in, expressions(read(name))))
    assert len(named) > 5
    assert named <= exported_series()


def test_every_metric_is_on_a_dashboard_or_in_a_rule() -> None:
    shown = set[str]().union(*(series_in(one) for name in NAMES for one in expressions(read(name))))
    shown = shown.union(*(series_in(alert["expr"]) for alert in ALERTS))
    shown = {re.sub(r"_(bucket|count)$", "", name) for name in shown} | shown
    unseen = {metric.exported_name for metric in METRICS} - shown
    assert unseen == {"rag_last_run_timestamp_seconds"}


@pytest.mark.parametrize("name", NAMES)
def test_the_knowledge_base_is_a_variable_and_the_threshold_a_series(name: str) -> None:
    found = read(name)
    assert [one["name"] for one in found["templating"]["list"]] == ["knowledge_base", "dagster"]
    for panel in found["panels"]:
        for target in panel["targets"]:
            for selector in re.findall(r"rag_\w+(\{.*?\})?", target["expr"]):
                assert 'knowledge_base="$knowledge_base"' in selector
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        assert all(step.get("value") is None for step in steps)
    assert {link["url"] for link in found["links"] if link["type"] == "link"} == {
        "${dagster}/runs",
        "${dagster}/assets/production_collection",
    }


def test_grafana_is_provisioned_with_the_datasource_and_the_folder() -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"]) == (SOURCE.uid, SOURCE.type_val)
    scraped = yaml.safe_load((ROOT / "deployment" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "rag-assets.yml").read_text())["providers"]
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mounted = {
        volume["target"]: volume["source"] for volume in service["volumes"] if isinstance(volume, dict)
    }
    assert mounted[provider["options"]["path"]] == "./grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "./grafana/provisioning"

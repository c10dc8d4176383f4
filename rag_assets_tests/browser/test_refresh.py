"""A knowledge base refreshed from Dagster's real UI, by pressing its buttons in a real browser."""

from typing import TYPE_CHECKING

import pytest

from rag_assets.defs.assets import ALL_ASSETS
from rag_assets_tests.processes.refresh_command import run_command
from rag_assets_tests.processes.scene import Scene, text_about

if TYPE_CHECKING:
    from rag_assets_tests.browser.ui import DagsterUi

# Three servers, a browser and the runs work at once, which is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)


def test_the_lineage_shows_the_seven_assets_without_a_dialog(ui: "DagsterUi") -> None:
    nodes = ui.open_lineage()
    names = [asset.key.to_user_string() for asset in ALL_ASSETS]
    assert ui.listed_assets(names) == dict.fromkeys(names, True)
    assert nodes.count() == len(ALL_ASSETS) == 7
    assert ui.page.get_by_role("dialog").count() == 0


def test_a_refresh_started_in_the_browser_reaches_production(
    ui: "DagsterUi", scene: Scene, first_refresh: str
) -> None:
    assert first_refresh == "Success"
    production = scene.production()
    assert production is not None
    ui.open_asset("production_collection")
    assert (ui.metadata("generation"), ui.metadata("outcome")) == (production, "live")
    assert "reaches the threshold" in ui.open_check("eval_report")


def test_the_first_page_shows_a_refresh_of_the_command_line(
    ui: "DagsterUi", scene: Scene, first_refresh: str
) -> None:
    assert first_refresh == "Success"
    printed = run_command(scene, "refresh", "--json")
    assert printed.json["outcome"] == "unchanged", printed.errors
    ui.open_first_page(job="refresh")
    assert ui.wait_for_run(printed.json["run_id"]) == "Success"


def test_a_failed_gate_shows_its_reason_and_leaves_production_unchanged(
    ui: "DagsterUi", scene: Scene, first_refresh: str
) -> None:
    assert first_refresh == "Success"
    production = scene.production()
    (scene.documents / "parking.md").write_text(text_about("parking", edition=2), encoding="utf-8")
    # Each run reads this file again, as after a change of settings in a running deployment.
    (scene.home / ".env").write_text("RAG_EVAL_THRESHOLD=0.999\n", encoding="utf-8")

    ui.open_lineage()
    assert ui.wait_for_run(ui.materialize_all()) == "Failure"

    check = ui.open_check("eval_report")
    assert "Failed" in check
    assert "below the threshold 0.999" in check
    assert f"production\n{production}" in check
    ui.open_asset("production_collection")
    assert ui.metadata("generation") == production
    assert scene.production() == production

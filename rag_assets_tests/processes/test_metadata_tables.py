"""The metadata tables after real kills: every run is a row, what it spent is counted, and a promotion is counted once."""

import pytest

from rag_assets_tests.processes.refresh_process import refresh, refresh_until_killed
from rag_assets_tests.processes.scene import Scene
from rag_assets_tests.tracking.conftest import ask


@pytest.mark.parametrize(
    ("point", "end"),
    [
        ("when vectors were paid for and cached", "live"),
        ("after the promotion", "unchanged"),
    ],
)
def test_a_killed_refresh_is_recorded_by_the_next_one(point: str, end: str, scene: Scene) -> None:
    place = scene.state_dir / "metadata.sqlite"
    assert place.exists()
    before = len(ask(place, "SELECT * FROM rag_refreshes"))
    promotions = len(ask(place, "SELECT * FROM rag_promotions"))
    refresh_until_killed(scene, point)
    assert len(ask(place, "SELECT * FROM rag_refreshes")) == before, "a killed process writes nothing"
    refresh(scene)
    runs = ask(place, "SELECT run_id, outcome, step, num_listed FROM rag_refreshes ORDER BY ended_at")[
        before:
    ]
    assert [run["outcome"] for run in runs] == ["died", end]
    dead = runs[0]
    assert dead["step"] == ("embeddings" if end == "live" else "production_collection")
    assert dead["num_listed"]
    [spent] = ask(
        place,
        f"SELECT SUM(num_tokens) AS n FROM rag_costs WHERE run_id='{dead['run_id']}' AND purpose='documents'",
    )
    assert spent["n"] > 0
    [incident] = ask(place, f"SELECT kind, resolved_at FROM rag_incidents WHERE run_id='{dead['run_id']}'")
    assert incident["kind"] == "died"
    assert incident["resolved_at"] is not None
    assert len(ask(place, "SELECT * FROM rag_promotions")) == promotions + 1
    [state] = ask(place, "SELECT generation FROM rag_knowledge_bases")
    assert state["generation"] == scene.production()

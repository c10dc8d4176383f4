"""A rollback to the previous generation, its hold, and the end of the hold."""

import shutil

from rag_assets.definitions import build_definitions
from rag_assets.settings import load_settings
from rag_assets_tests.pipeline import Pipeline, text_about


def test_a_rollback_is_shown(promoted: Pipeline) -> None:
    before = promoted.production()
    said = promoted.succeed("rollback", "--reason", "prices are wrong,\nsee #12", "--by", "ana")
    state = promoted.production()
    assert state.hold is not None
    assert (state.hold.by, state.hold.reason) == ("ana", "prices are wrong, see #12")
    assert (
        f"production is held at {state.production} since {state.hold.since} by ana: prices are wrong" in said
    )
    assert (state.production, state.previous, state.held) == (before.previous, None, before.production)
    status = promoted.status()
    assert status["held_generation"] == before.production
    assert status["hold"] == {"since": state.hold.since, "by": "ana", "reason": "prices are wrong, see #12"}
    assert f"HELD           since {state.hold.since} by ana: prices are wrong" in promoted.succeed("status")
    assert [(one["decision"], one["by"], one["about"]) for one in status["decisions"]] == [
        ("rollback", "ana", before.production)
    ]
    assert promoted.problems_of_production() == ()


def test_a_second_rollback_is_refused(rolled_back: Pipeline) -> None:
    export = rolled_back.export()
    code, _, errors = rolled_back.command("rollback")
    assert code == 1
    assert "already held at" in errors
    assert len(errors.splitlines()) == 1
    assert rolled_back.export() == export


def test_the_rollback_job_of_dagster_does_the_same(promoted: Pipeline) -> None:
    before = promoted.production()
    job = build_definitions(load_settings()).resolve_job_def("rollback")
    assert job.execute_in_process(instance=promoted.instance).success
    assert promoted.production().held == before.production
    with_nothing_left = job.execute_in_process(instance=promoted.instance, raise_on_error=False)
    assert not with_nothing_left.success


def test_refreshes_during_a_hold_are_evaluated_but_not_promoted(rolled_back: Pipeline) -> None:
    export, held = rolled_back.export(), rolled_back.production().held
    hold = rolled_back.production().hold
    assert hold is not None
    for version in ("first", "second"):
        rolled_back.write("topic04.md", text_about(version))
        run = rolled_back.refresh().checked()
        assert run.gate_passed is True
        shown = run.metadata["production_collection"]
        assert (shown["outcome"], shown["held_since"]) == ("held", hold.since)
        assert shown["generation"] == rolled_back.production().production
        assert shown["candidate"] == run.metadata["eval_report"]["generation"] != shown["generation"]
        assert run.data_versions["production_collection"].startswith(shown["digest"])
        assert run.data_versions["production_collection"] == rolled_back.status()["production"]["digest"]
        assert rolled_back.export() == export
        assert rolled_back.production().held == held
    assert len(rolled_back.generations()) == 3  # production, held, and only one candidate


def test_a_hold_does_not_stop_a_refresh_without_changes(rolled_back: Pipeline) -> None:
    """Production equals the sources, so nothing is held back."""
    rolled_back.write("topic03.md", text_about(3))
    run = rolled_back.refresh().checked()
    assert run.metadata["production_collection"]["outcome"] == "unchanged"
    assert rolled_back.production().held is not None


def test_a_hold_stands_with_another_index_fingerprint(rolled_back: Pipeline) -> None:
    before, export = rolled_back.production(), rolled_back.export()
    rolled_back.configure(RAG_CHUNK_SIZE="48")
    run = rolled_back.refresh().checked()
    assert run.metadata["production_collection"]["outcome"] == "held"
    assert rolled_back.production() == before
    assert rolled_back.export() == export
    plan = rolled_back.json("plan", "--json")
    assert plan["production_collection"]["held_generation"] == before.held
    rolled_back.succeed("resume")
    rolled_back.refresh().checked()
    assert max(point.payload["token_count"] for point in rolled_back.points().values()) <= 48


def test_a_hold_stands_after_the_held_generation_was_deleted_by_hand(rolled_back: Pipeline) -> None:
    export, held = rolled_back.export(), rolled_back.production().held
    assert held is not None
    (folder,) = (rolled_back.state_dir / "vector_store").rglob(held)
    shutil.rmtree(folder)
    rolled_back.write("topic04.md", text_about("first"))
    run = rolled_back.refresh().checked()
    assert run.metadata["production_collection"]["outcome"] == "held"
    assert rolled_back.export() == export
    assert rolled_back.status()["held_generation"] == held
    assert held in rolled_back.succeed("status")
    rolled_back.succeed("trace", "topic04.md")
    rolled_back.succeed("resume")
    rolled_back.refresh().checked()
    assert rolled_back.status()["held_generation"] is None


def test_resume_without_a_hold_says_so_and_changes_nothing(promoted: Pipeline) -> None:
    before = promoted.production()
    assert "nothing was held" in promoted.succeed("resume")
    assert promoted.production() == before


def test_an_empty_knowledge_base_cannot_be_rolled_back(empty: Pipeline) -> None:
    code, _, errors = empty.command("rollback")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert empty.command("export")[:2] == (1, "")
    code, _, errors = empty.command("search", "anything")
    assert code == 1
    assert "rag-assets refresh" in errors

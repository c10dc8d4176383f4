"""Each asset alone, and re-execution from a failure, in each state.

Nothing goes live unverified, no document is lost, and every refusal names the next command.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets_tests.pipeline import NUM_DOCUMENTS, Pipeline, Run, assert_same_points, text_about

PipelineIn = Callable[[str], tuple[Pipeline, Run | None]]
ASSETS = tuple(asset.key.to_user_string() for asset in ALL_ASSETS)
OK = "success"
HELD = "held"

# State -> asset -> success, or the advice of the refusal.
TABLE: dict[str, dict[str, str]] = {
    "empty": {
        "raw_documents": OK,
        "deduped_documents": "materialize raw_documents first, or all assets",
        "chunks": "materialize deduped_documents first, or all assets",
        "embeddings": "materialize chunks first, or all assets",
        "staging_collection": "materialize deduped_documents first, or all assets",
        "eval_report": "materialize staging_collection first, or all assets",
        "production_collection": "materialize eval_report first, or all assets",
    },
    "promoted": {
        "raw_documents": OK,
        "deduped_documents": OK,
        "chunks": "materialize deduped_documents and everything after it",
        "embeddings": OK,
        "staging_collection": "materialize deduped_documents and everything after it",
        "eval_report": OK,
        "production_collection": OK,
    },
    "gate failed": {
        "raw_documents": OK,
        "deduped_documents": OK,
        "chunks": OK,
        "embeddings": OK,
        "staging_collection": OK,
        "eval_report": "Materialize all assets to create a new candidate",
        "production_collection": "materialize all assets",
    },
    "rolled back": {
        "raw_documents": OK,
        "deduped_documents": OK,
        "chunks": OK,
        "embeddings": OK,
        "staging_collection": OK,
        "eval_report": OK,
        "production_collection": OK,
    },
}


@pytest.mark.parametrize(("state", "asset"), [(state, asset) for state in TABLE for asset in ASSETS])
def test_an_asset_materialized_alone_harms_nothing(state: str, asset: str, pipeline_in: PipelineIn) -> None:
    pipeline, _ = pipeline_in(state)
    before, export_before = pipeline.production(), pipeline.export()

    run = pipeline.materialize(asset)

    expected = TABLE[state][asset]
    if expected == OK:
        assert run.success, run.message
        assert asset in run.metadata
    else:
        assert not run.success
        assert expected in run.failures[asset]
    assert pipeline.production() == before
    assert pipeline.export() == export_before


@pytest.mark.parametrize("state", ["empty", "rolled back"])
def test_materializing_each_asset_in_order_equals_a_refresh(state: str, pipeline_in: PipelineIn) -> None:
    pipeline, _ = pipeline_in(state)
    export_before = pipeline.export()

    runs = [pipeline.materialize(asset) for asset in ASSETS]

    if state == "rolled back":
        assert runs[-1].checked().metadata["production_collection"]["outcome"] == "held"
        assert pipeline.export() == export_before
        pipeline.succeed("resume")
        runs.append(pipeline.materialize("production_collection"))
    assert runs[-1].success, runs[-1].message
    assert pipeline.problems_of_production() == ()
    assert_same_points(pipeline.points(), pipeline.points_built_from_nothing())


def test_materializing_assets_in_the_wrong_order_harms_nothing(pipeline_in: PipelineIn) -> None:
    pipeline, _ = pipeline_in("gate failed")
    export_before = pipeline.export()
    pipeline.write("added.md", "# Added\n\nA document that came late.\n")
    for asset in reversed(ASSETS):
        pipeline.materialize(asset)
    assert pipeline.export() == export_before
    pipeline.refresh().checked()
    assert_same_points(pipeline.points(), pipeline.points_built_from_nothing())


@contextmanager
def _broken(step: str) -> Iterator[None]:
    """Let a step fail at its end, after its work and before its result is recorded."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError("the disk is gone")

    write = ArtifactStore.write

    def write_unless_broken(self: ArtifactStore, asset: str, *rest: Any) -> Any:
        return fail() if asset == step else write(self, asset, *rest)

    with pytest.MonkeyPatch.context() as patch:
        if step == "production_collection":
            # In the package, the asset hides the module of the same name.
            module = importlib.import_module("rag_assets.defs.assets.production_collection")
            patch.setattr(module, "promote", fail)
        patch.setattr(ArtifactStore, "write", write_unless_broken)
        yield


# (state, failing step) -> result of the re-execution from there
REEXECUTIONS: dict[tuple[str, str], str] = {
    ("empty", "raw_documents"): OK,
    ("empty", "staging_collection"): OK,
    ("promoted", "chunks"): OK,
    ("promoted", "production_collection"): OK,
    ("gate failed", "staging_collection"): OK,
    ("gate failed", "eval_report"): OK,
    ("rolled back", "staging_collection"): HELD,
}


@pytest.mark.parametrize(("state", "step"), list(REEXECUTIONS))
def test_a_failed_run_is_completed_by_executing_it_again(
    state: str, step: str, pipeline_in: PipelineIn
) -> None:
    pipeline, _ = pipeline_in(state)
    pipeline.write("topic04.md", text_about("changed"))
    export_before = pipeline.export()
    with _broken(step):
        failed = pipeline.refresh()
    assert list(failed.failures) == [step]
    assert pipeline.export() == export_before

    run = pipeline.refresh(retry_of=failed)

    assert "raw_documents" not in run.steps or step == "raw_documents"
    if REEXECUTIONS[state, step] == OK:
        assert run.success, run.message
        assert pipeline.problems_of_production() == ()
        assert pipeline.export() != export_before
        assert len(pipeline.served()) == NUM_DOCUMENTS
    else:
        assert run.checked().metadata["production_collection"]["outcome"] == REEXECUTIONS[state, step]
        assert pipeline.export() == export_before


@pytest.mark.parametrize(
    ("threshold", "reason"),
    [("0.999", "below the threshold"), ("0.1", "different settings (eval_threshold)")],
)
def test_executing_a_run_again_does_not_pass_its_failed_gate(
    threshold: str, reason: str, pipeline_in: PipelineIn
) -> None:
    pipeline, failed = pipeline_in("gate failed")
    export_before = pipeline.export()
    pipeline.configure(RAG_EVAL_THRESHOLD=threshold)
    run = pipeline.refresh(retry_of=failed)
    assert not run.success
    assert reason in run.message + run.gate_description
    assert pipeline.export() == export_before


def test_a_candidate_that_waited_for_a_hold_is_promoted_alone_after_resume(rolled_back: Pipeline) -> None:
    rolled_back.write("topic04.md", text_about("changed"))
    held = rolled_back.refresh().checked()
    assert held.metadata["production_collection"]["outcome"] == "held"
    rolled_back.succeed("resume")
    run = rolled_back.materialize("production_collection").checked()
    assert run.metadata["production_collection"]["outcome"] == "live"
    assert rolled_back.problems_of_production() == ()


def test_an_old_run_executed_again_is_superseded_by_a_newer_refresh(promoted: Pipeline) -> None:
    promoted.write("topic04.md", text_about("changed"))
    with _broken("production_collection"):
        failed = promoted.refresh()
    promoted.write("topic05.md", text_about("changed later"))
    promoted.refresh().checked()
    export = promoted.export()
    run = promoted.refresh(retry_of=failed)
    assert run.outcomes == {"production_collection": "superseded"}
    assert "aterialize all assets" in run.message
    assert promoted.export() == export

"""Each asset alone, and re-execution from a failure, in each state (issue 2, must-show 5).

Nothing unverified goes live, no document is lost, and every refusal names the next command.
"""

from collections.abc import Callable

import pytest

from rag_assets.assets import ALL_ASSETS
from rag_assets_tests.pipeline import Pipeline, Run, assert_same_points

PipelineIn = Callable[[str], tuple[Pipeline, Run | None]]
ASSETS = tuple(asset.key.to_user_string() for asset in ALL_ASSETS)
OK = "success"

# state -> asset -> success, or what the refusal must tell the person to do
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
        "eval_report": "Materialize all assets to make a new candidate",
        "production_collection": "materialize all assets",
    },
    "rolled back": {
        "raw_documents": OK,
        "deduped_documents": OK,
        "chunks": OK,
        "embeddings": OK,
        "staging_collection": OK,
        "eval_report": OK,
        "production_collection": "rag-assets resume",
    },
}


def _assert_only_what_was_verified_is_served(pipeline: Pipeline, export_before: str) -> None:
    assert pipeline.export() == export_before
    if export_before:
        assert pipeline.problems_of_production() == ()


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
    _assert_only_what_was_verified_is_served(pipeline, export_before)


@pytest.mark.parametrize("state", list(TABLE))
def test_all_assets_one_after_the_other_do_what_one_refresh_does(state: str, pipeline_in: PipelineIn) -> None:
    pipeline, _ = pipeline_in(state)
    export_before = pipeline.export()

    runs = [pipeline.materialize(asset) for asset in ASSETS]

    if state == "rolled back":
        assert [run.success for run in runs] == [True] * 6 + [False]
        _assert_only_what_was_verified_is_served(pipeline, export_before)
        pipeline.succeed("resume")
        runs.append(pipeline.materialize("production_collection"))
    assert runs[-1].success, runs[-1].message
    assert_same_points(pipeline.points(), pipeline.points_built_from_nothing())


def test_all_assets_in_the_wrong_order_end_in_the_same_place(promoted: Pipeline) -> None:
    promoted.write("added.md", "# Added\n\nA document that came late.\n")
    for asset in reversed(ASSETS):
        promoted.materialize(asset)
    promoted.refresh().checked()
    assert_same_points(promoted.points(), promoted.points_built_from_nothing())

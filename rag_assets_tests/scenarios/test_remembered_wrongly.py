"""What the ledger remembers wrongly reaches no point: it is worked out again."""

import sqlite3

import pytest

from rag_assets_tests.pipeline import Pipeline, assert_same_points, text_about


def change_ledger(pipeline: Pipeline, sql: str) -> None:
    connection = sqlite3.connect(pipeline.state_dir / "ledger.sqlite")
    with connection:
        assert connection.execute(sql).rowcount >= 1
    connection.close()


def assert_right_after_a_refresh(pipeline: Pipeline) -> None:
    pipeline.refresh().checked()
    assert pipeline.problems_of_production() == ()
    assert_same_points(pipeline.points(), pipeline.points_built_from_nothing())


def test_a_remembered_parse_with_the_text_of_another_document(promoted: Pipeline) -> None:
    change_ledger(
        promoted,
        "UPDATE parses SET content_hash=(SELECT content_hash FROM parses WHERE source_uri LIKE '%topic07.md') "
        "WHERE source_uri LIKE '%topic02.md'",
    )
    promoted.write("topic03.md", text_about("changed"))
    assert_right_after_a_refresh(promoted)


@pytest.mark.parametrize("value", ["substr(vector, 1, 1023)", "randomblob(1024)"])
def test_a_remembered_vector_that_was_changed_is_embedded_again(promoted: Pipeline, value: str) -> None:
    change_ledger(promoted, f"UPDATE vectors SET vector={value}")
    promoted.configure(RAG_COLLECTION="another")
    run = promoted.refresh().checked()
    embeddings = run.metadata["embeddings"]
    assert embeddings["num_embedded"] == embeddings["num_texts"]
    assert_right_after_a_refresh(promoted)

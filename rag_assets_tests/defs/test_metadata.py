from collections import Counter
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.defs.metadata import (
    bar,
    breakdown,
    change_table,
    chunk_size_breakdown,
    index_table,
    near_duplicate_metadata,
    score_table,
    shown,
    worst_queries_table,
)
from rag_assets.evaluation.evaluate import EvalReport, QueryResult
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.refresh.decision import NearDuplicateDocuments
from rag_assets_tests.documents import FINGERPRINT, place
from rag_assets_tests.reports import passing_report


def rows(table: dg.TableMetadataValue | None) -> list[dict[str, Any]]:
    assert table is not None
    return [dict(record.data) for record in table.records]


def changes(kind: Change, count: int) -> list[DocumentChange]:
    return [DocumentChange(kind, place(f"{kind.value}{number:03}.md"), "hash") for number in range(count)]


def query(
    name: str, recall: float, before: float | None = None, *, mrr: float | None = None, **fields: Any
) -> QueryResult:
    metrics = dict.fromkeys(METRICS, recall) | ({} if mrr is None else {"mrr": mrr})
    result = QueryResult(name, ("a.md",), ("filesystem:hr/b.md",), metrics, 0.1)
    return replace(result, production_recall_at_5=before, **fields)


def test_a_bar_grows_with_its_share_and_keeps_its_width() -> None:
    bars = [bar(step / 80) for step in range(81)]
    assert len(set(bars)) == 81
    assert {len(drawn) for drawn in bars} == {len(bar(1))}
    assert set(bar(1)) == {"█"}
    assert set(bar(0)) == {"░"}


def test_a_breakdown_shows_the_parts_that_there_are() -> None:
    found = rows(breakdown("texts", {"cached": 3, "embedded": 1, "lost": 0}))
    assert [(row["texts"], row["count"]) for row in found] == [("cached", 3), ("embedded", 1)]
    assert found[0]["share"] == bar(0.75)


def test_nothing_is_shown_of_what_says_nothing() -> None:
    metadata = {"table": breakdown("texts", {"cached": 0}), "none": None, "zero": 0, "no": False, "text": ""}
    assert shown(metadata) == {"zero": 0, "no": False, "text": ""}


def test_changes_that_a_person_has_to_look_at_come_first_and_unchanged_documents_do_not_come() -> None:
    given = [change for kind in Change for change in changes(kind, 1)]
    kinds = [row["change"] for row in rows(change_table(given))]
    assert kinds == ["quarantined", "deleted", "updated", "moved", "duplicate", "added"]


def test_a_document_that_leaves_the_index_for_another_is_shown_as_a_change_once() -> None:
    [omitted] = changes(Change.OMITTED, 1)
    assert rows(change_table([omitted])) == []
    assert [row["change"] for row in rows(change_table([replace(omitted, previous_content_hash="h")]))] == [
        "omitted"
    ]


def test_groups_of_near_duplicates_are_shown_with_what_is_omitted() -> None:
    omitted = [
        replace(change, content_hash=None, near_duplicate_of="filesystem:a.md")
        for change in changes(Change.OMITTED, 9)
    ]
    ids = tuple(sorted(["filesystem:a.md", *(change.document_id for change in omitted)]))
    groups = [NearDuplicateDocuments(ids, 0.93), NearDuplicateDocuments(("x:1", "x:2"), 1.0)]
    metadata = near_duplicate_metadata(groups, omitted)
    assert metadata["num_near_duplicates"] == 12
    first, second = rows(metadata["near_duplicates"])
    assert (first["documents"], first["similarity"]) == ("filesystem:a.md", 0.93)
    assert first["omitted"].endswith("filesystem:omitted005.md … 3 more")
    assert (second["documents"], second["omitted"]) == ("x:1, x:2", None)


def test_a_long_table_says_how_much_is_left_out() -> None:
    given = [*changes(Change.ADDED, 30), *changes(Change.DELETED, 1)]
    table = change_table(given)
    found = rows(table)
    assert found[0]["change"] == "deleted"
    assert found[-1] == {"change": "… 11 more", "document_id": None, "moved_from": None}
    assert len(found) - 1 + 11 == len(given)
    assert rows(change_table(given[:20]))[-1]["document_id"] == "filesystem:added019.md"


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1, "1 to 64"), (64, "1 to 64"), (65, "65 to 128"), (512, "449 to 512")]
)
def test_each_chunk_is_counted_in_its_size_class(tokens: int, expected: str) -> None:
    assert rows(chunk_size_breakdown(Counter({tokens: 2}), 512)) == [
        {"tokens": expected, "count": 2, "share": bar(1)}
    ]


def test_size_classes_are_in_order_and_share_all_chunks() -> None:
    found = rows(chunk_size_breakdown(Counter({500: 1, 20: 1, 30: 1, 70: 1}), 512))
    assert [(row["tokens"], row["count"]) for row in found] == [
        ("1 to 64", 2),
        ("65 to 128", 1),
        ("449 to 512", 1),
    ]


def test_the_settings_of_the_index_are_shown_each_in_a_row() -> None:
    values = {row["setting"]: row["value"] for row in rows(index_table(FINGERPRINT))}
    assert values.keys() == FINGERPRINT.keys()
    assert values["chunk_size"] == "512"
    assert "model fake-8" in values["embedding_model"]
    assert "endpoint" not in values["embedding_model"]


def test_scores_stand_beside_those_of_production_with_the_threshold_below_the_one_it_is_for() -> None:
    found = rows(score_table(passing_report("g1", "ab", recall=0.9)))
    at = next(number for number, row in enumerate(found) if row["metric"] == "recall_at_5")
    assert (found[at]["candidate"], found[at]["production"], found[at]["change"]) == (0.9, 0.8, "▲ 0.100")
    assert "must reach" in found[at + 1]["metric"]
    assert found[at + 1]["candidate"] == 0.75


@pytest.mark.parametrize(("recall", "change"), [(0.7, "▼ 0.100"), (0.8, "="), (0.80004, "=")])
def test_a_score_that_fell_or_stayed_is_told_from_one_that_rose(recall: float, change: str) -> None:
    found = rows(score_table(passing_report("g1", "ab", recall=recall)))
    assert {row["change"] for row in found if row["production"] is not None} == {change}


def test_the_first_candidate_is_compared_with_nothing() -> None:
    report = replace(passing_report("g1", "ab"), production_scores=None)
    assert {(row["production"], row["change"]) for row in rows(score_table(report))} == {(None, None)}
    assert score_table(replace(report, scores=None)) is None


def report_with(*queries: QueryResult) -> EvalReport:
    return replace(passing_report("g1", "ab"), queries=queries)


def test_what_production_answers_better_comes_first_among_the_worst_questions() -> None:
    table = worst_queries_table(
        report_with(
            query("as bad as ever", 0.0, 0.0),
            query("lost a little", 0.5, 1.0),
            query("perfect", 1.0, 0.0),
            query("lost", 0.0, 1.0),
            query("half", 0.5, 0.5),
            query("new", 0.2),
        )
    )
    assert [row["query"] for row in rows(table)] == ["lost", "lost a little", "as bad as ever", "new", "half"]


def test_a_bad_question_shows_where_the_answer_stood_and_what_stood_before_it() -> None:
    late = query("late", 0.0, mrr=1 / 7)
    never = query("never", 0.0, mrr=0.0, expected_docs=("a.md", "gone.md"), missing_docs=("gone.md",))
    by_query = {row["query"]: row for row in rows(worst_queries_table(report_with(late, never)))}
    assert by_query["late"]["rank"] == 7
    assert by_query["never"]["rank"] is None
    assert by_query["never"]["expected_docs → retrieved"] == "a.md, gone.md (absent) → hr/b.md"

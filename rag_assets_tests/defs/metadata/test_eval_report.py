from dataclasses import replace
from typing import Any

import pytest

from rag_assets.defs.metadata.eval_report import score_table, worst_queries_table
from rag_assets.evaluation.report import EvalReport, QueryResult
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets_tests.defs.metadata.table_rows import rows
from rag_assets_tests.reports import answer, passing_report


def query(
    name: str, recall: float, before: float | None = None, *, mrr: float | None = None, **fields: Any
) -> QueryResult:
    metrics = dict.fromkeys(METRICS, recall) | ({} if mrr is None else {"mrr": mrr})
    result = QueryResult(name, ("a.md",), ("filesystem:hr/b.md",), metrics, 0.1)
    return replace(result, production=None if before is None else answer(before), **fields)


def test_scores_are_shown_beside_production_with_the_threshold_below_recall_at_5() -> None:
    found = rows(score_table(passing_report("g1", "ab", recall=0.9)))
    at = next(number for number, row in enumerate(found) if row["metric"] == "recall_at_5")
    assert (found[at]["candidate"], found[at]["production"], found[at]["change"]) == (0.9, 0.8, "▲ 0.100")
    assert "must reach" in found[at + 1]["metric"]
    assert found[at + 1]["candidate"] == 0.75


@pytest.mark.parametrize(("recall", "change"), [(0.7, "▼ 0.100"), (0.8, "="), (0.80004, "=")])
def test_the_sign_of_a_change_is_shown(recall: float, change: str) -> None:
    found = rows(score_table(passing_report("g1", "ab", recall=recall)))
    assert {row["change"] for row in found if row["production"] is not None} == {change}


def test_the_first_candidate_has_no_comparison() -> None:
    report = replace(passing_report("g1", "ab"), production_scores=None)
    assert {(row["production"], row["change"]) for row in rows(score_table(report))} == {(None, None)}
    assert score_table(replace(report, scores=None)) is None


def report_with(*queries: QueryResult) -> EvalReport:
    return replace(passing_report("g1", "ab"), queries=queries)


def test_questions_answered_better_by_production_come_first() -> None:
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
    asked = [row["query"] for row in rows(table) if row["recall_at_5"] is not None]
    assert asked == ["lost", "lost a little", "as bad as ever", "new", "half"]


def test_a_bad_question_shows_the_rank_of_the_answer_and_the_documents_above_it() -> None:
    late = query("late", 0.0, mrr=1 / 7)
    never = query("never", 0.0, mrr=0.0, expected_docs=("a.md", "gone.md"), missing_docs=("gone.md",))
    found = [row["query"] for row in rows(worst_queries_table(report_with(late, never)))]
    at = found.index("late")
    assert found[at + 1 : at + 3] == ["⤷ expected (at rank 7): a.md", "⤷ retrieved hr/b.md"]
    assert "⤷ expected (not found): a.md, gone.md (absent)" in found


def test_a_long_path_is_cut_in_the_middle_and_fits_the_page() -> None:
    path = "engineering/postmortems/2026/postmortem_2026_02_ingest_outage.md"
    report = report_with(query("long", 0.0, expected_docs=(path,), retrieved=(f"filesystem:{path}",)))
    words = [word for row in rows(worst_queries_table(report)) for word in row["query"].split(" ")]
    assert max(map(len, words)) <= 31
    assert any(word.endswith("ingest_outage.md") for word in words)


def test_a_long_list_of_questions_ends_with_the_number_of_the_others() -> None:
    found = rows(
        worst_queries_table(report_with(*(query(f"question {number}", 0.0) for number in range(13))))
    )
    assert (len(found), found[-1]["query"]) == (10 * 3 + 1, "… 3 more")

from rag_assets.document_metadata.values import Metadata
from rag_assets.evaluation import slices as slices_module
from rag_assets.evaluation.report import EvalReport, QueryResult
from rag_assets.evaluation.slices import NO_VALUE, Slice, recall_by_value
from rag_assets_tests.documents import document
from rag_assets_tests.reports import answer

DOCUMENTS = [
    document("a.md", "a", metadata=Metadata.of({"department": "HR", "final": True})),
    document("b.md", "b", metadata=Metadata.of({"department": ("IT", "HR"), "year": 2024})),
    document("c.md", "c"),
    document("copy/c.md", "c", metadata=Metadata.of({"department": "Sales"})),
    document("d.md", None, metadata=Metadata.of({"department": "HR"})),
]


def query(recall: float, before: float | None, *expected: str) -> QueryResult:
    metrics = {"recall_at_5": recall}
    return QueryResult("?", expected, (), metrics, 0.0, production=None if before is None else answer(before))


def report(*queries: QueryResult) -> EvalReport:
    return EvalReport("g1", "digest", 1, {}, queries=queries)


def test_a_question_counts_for_each_value_of_its_expected_documents() -> None:
    measured = report(
        query(1.0, 0.5, "a.md"),
        query(0.5, 0.5, "a.md", "b.md"),
        query(0.0, 1.0, "b.md"),
        query(0.25, 0.75, "copy/c.md"),
        query(0.0, 0.0, "missing.md"),
    )
    assert recall_by_value(measured, DOCUMENTS, "department") == [
        Slice(NO_VALUE, 1, 0.0, 0.0),
        Slice("IT", 2, 0.25, 0.75),
        Slice("Sales", 1, 0.25, 0.75),
        Slice("HR", 3, 0.5, 2 / 3),
    ]


def test_values_of_other_types_are_written_out() -> None:
    measured = report(query(1.0, None, "a.md"), query(0.0, None, "b.md"))
    assert recall_by_value(measured, DOCUMENTS, "final") == [
        Slice(NO_VALUE, 1, 0.0, None),
        Slice("true", 1, 1.0, None),
    ]
    assert [one.value for one in recall_by_value(measured, DOCUMENTS, "year")] == ["2024", NO_VALUE]


def test_values_with_the_fewest_questions_are_left_out() -> None:
    documents = [document(f"{n}.md", f"{n}", metadata=Metadata.of({"n": n})) for n in range(60)]
    measured = report(*(query(1.0, None, f"{n}.md") for n in range(60)), query(1.0, None, "59.md"))
    found = recall_by_value(measured, documents, "n")
    assert len(found) == slices_module._MOST_SLICES
    assert any(one.value == "59" and one.num_queries == 2 for one in found)


def test_a_report_without_questions_has_no_slices() -> None:
    assert recall_by_value(report(), DOCUMENTS, "department") == []

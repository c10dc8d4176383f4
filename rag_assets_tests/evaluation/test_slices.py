from dataclasses import replace

from rag_assets.document_metadata.values import Metadata
from rag_assets.evaluation import slices as slices_module
from rag_assets.evaluation.benchmark import BenchmarkQuery
from rag_assets.evaluation.report import EvalReport, QueryResult
from rag_assets.evaluation.slices import NO_VALUE, Slice, SliceLoss, SliceNames, recall_by_value, slice_losses
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


def test_a_question_is_in_the_slices_of_its_documents() -> None:
    documents = [
        document("hr/a.md", "a", metadata=Metadata.of({"department": "HR"})),
        document("it/b.PDF", "b", source="wiki"),
        document("plain", "c"),
    ]
    names = SliceNames(documents, "department")
    assert names.of(BenchmarkQuery("?", ("a.md", "b.PDF"))) == (
        "department=HR",
        "folder=hr",
        "folder=it",
        "format=md",
        "format=pdf",
        "source=filesystem",
        "source=wiki",
    )
    assert names.of(BenchmarkQuery("?", ("plain",))) == ("source=filesystem",)
    assert names.of(BenchmarkQuery("?", ("gone",))) == ()


def of_slices(*groups: tuple[int, int, tuple[str, ...]]) -> EvalReport:
    """A report with (questions lost, questions kept, slices) for each group."""
    rows = [
        replace(query(float(number >= lost), 1.0, "a.md"), slices=slices)
        for lost, kept, slices in groups
        for number in range(lost + kept)
    ]
    return report(*rows)


def test_only_losses_beyond_chance_are_named_among_many_slices() -> None:
    many = [(0, 10, (f"folder={number}",)) for number in range(20)]
    assert slice_losses(of_slices((6, 4, ("folder=x",)), *many)) == []  # p = 1/128 is likely among 21 slices
    assert slice_losses(of_slices((6, 4, ("folder=x",)), (0, 90, ("folder=y",)))) == [
        SliceLoss("folder=x", 10, 1.0, 0.4)
    ]
    assert [one.name for one in slice_losses(of_slices((10, 0, ("folder=x",)), *many))] == ["folder=x"]


def test_names_of_the_same_questions_are_one_slice() -> None:
    [found] = slice_losses(of_slices((8, 0, ("folder=x", "format=pdf")), (0, 30, ("folder=y",))))
    assert found.name == "folder=x format=pdf"


def test_a_slice_of_everything_or_of_four_questions_is_none() -> None:
    assert slice_losses(of_slices((20, 0, ("source=files",)))) == []
    assert slice_losses(of_slices((4, 0, ("folder=x",)), (0, 40, ("folder=y",)))) == []

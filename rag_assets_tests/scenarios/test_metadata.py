"""Metadata from the file to the answer: filters, trace, slices of the evaluation, and changes without embedding."""

import json
from pathlib import Path

import pytest

from rag_assets_tests.pipeline import NUM_DOCUMENTS, Pipeline, question_about, text_about


def front_matter(number: int, **more: object) -> str:
    fields = {"department": ("HR", "IT", "Sales")[number % 3], "year": 2020 + number % 5, "author": "Ann"}
    return "".join(f"{key}: {value}\n" for key, value in {**fields, **more}.items())


def write(pipeline: Pipeline, number: int, **more: object) -> None:
    text = f"---\n{front_matter(number, **more)}---\n{text_about(number)}"
    pipeline.write(f"topic{number:02}.md", text)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    pipeline = Pipeline(tmp_path, monkeypatch)
    for number in range(NUM_DOCUMENTS):
        write(pipeline, number)
    pipeline.write_benchmark()
    return pipeline


def found(pipeline: Pipeline, *filters: str) -> set[str]:
    arguments = [argument for one in filters for argument in ("--filter", one)]
    hits = pipeline.json("search", question_about(4), "--limit", "200", "--json", *arguments)["hits"]
    return {hit["filename"] for hit in hits}


def numbers(*of: int) -> set[str]:
    return {f"topic{number:02}.md" for number in of}


def test_metadata_filter_and_show_and_slice(pipeline: Pipeline) -> None:
    pipeline.configure(RAG_METADATA_INDEXES="year:integer", RAG_EVAL_SLICE_BY="Department")
    run = pipeline.refresh().checked()
    every = range(NUM_DOCUMENTS)
    assert found(pipeline, "metadata.year>=2023") == numbers(*(n for n in every if n % 5 >= 3))
    assert found(pipeline, "metadata.year=2020,2021", "metadata.department=IT") == numbers(
        *(n for n in every if n % 5 <= 1 and n % 3 == 1)
    )
    code, _, errors = pipeline.command("search", "x", "--filter", "metadata.yaer=2024")
    assert code == 1
    assert "did you mean metadata.year?" in errors
    code, _, errors = pipeline.command("search", "x", "--filter", "metadata.year=soon")
    assert code == 1
    assert "'soon' is not a number" in errors

    hit = pipeline.json("search", question_about(4), "--json")["hits"][0]
    assert hit["metadata"] == {"department": "IT", "year": 2024}
    assert "   department: IT, year: 2024\n" in pipeline.succeed("search", question_about(4))

    exported = next(
        line for line in map(json.loads, pipeline.export().splitlines()) if line["id"] == hit["id"]
    )
    assert exported["metadata"] == hit["metadata"]
    assert exported["title"] == hit["title"]

    traced = pipeline.json("trace", "topic04.md", "--json")
    assert traced["metadata"] == {"department": "IT", "year": 2024}
    assert traced["metadata_left_out"] == ["personal: author"]
    said = pipeline.succeed("trace", "topic04.md")
    assert "metadata       department: IT, year: 2024" in said
    assert "cut or left out: personal: author" in said

    status = pipeline.status()["last_refresh"]
    assert status["metadata_left_out"] == {"filesystem": {"personal: author": NUM_DOCUMENTS}}
    evaluation = status["evaluation"]
    assert evaluation["slice_by"] == "department"
    assert {one["value"] for one in evaluation["slices"]} == {"HR", "IT", "Sales"}
    assert sum(one["num_queries"] for one in evaluation["slices"]) == NUM_DOCUMENTS + 1
    # The question about a missing document also expects topic00, of HR.
    assert evaluation["slices"][0]["value"] == "HR"
    assert evaluation["slices"][0]["recall_at_5"] < 1
    worst = evaluation["slices"][0]
    assert f"  Recall@5 {worst['recall_at_5']:.3f}  department=HR (8 questions)\n" in pipeline.succeed(
        "status"
    )
    assert next(row.data["department"] for row in run.metadata["eval_report"]["slices"].records) == "HR"


@pytest.mark.slow
def test_a_change_of_metadata_is_a_change_of_the_payload(pipeline: Pipeline) -> None:
    pipeline.refresh().checked()
    before = pipeline.points()
    write(pipeline, 3, year=2031)
    pipeline.configure(RAG_METADATA_KEEP="author")
    planned = pipeline.json("plan", "--json")
    assert planned["deduped_documents"]["num_payload_updates"] == NUM_DOCUMENTS
    assert planned["embeddings"]["num_texts"] == 0
    run = pipeline.refresh().checked()
    assert run.metadata["raw_documents"]["num_read"] == 1
    assert run.metadata["embeddings"]["num_texts"] == 0
    staged = run.metadata["staging_collection"]
    assert (staged["num_points_added"], staged["num_points_deleted"]) == (0, 0)
    now = pipeline.points()
    assert now.keys() == before.keys()
    assert all((now[identity].vector == before[identity].vector).all() for identity in now)
    metadata = {
        location["path"]: location["metadata"]
        for point in now.values()
        for location in point.payload["locations"]
    }
    assert metadata["topic03.md"] == {"author": "Ann", "department": "HR", "year": 2031}
    assert metadata["topic04.md"] == {"author": "Ann", "department": "IT", "year": 2024}
    assert pipeline.problems_of_production() == ()


@pytest.mark.slow
@pytest.mark.parametrize("why", ["corrupt", "source removed"])
def test_a_key_that_is_to_be_left_out_also_leaves_the_documents_that_are_only_kept(
    pipeline: Pipeline, why: str
) -> None:
    pipeline.configure(RAG_METADATA_KEEP="author")
    pipeline.refresh().checked()
    if why == "corrupt":
        pipeline.write("topic03.md", b"")
    else:
        other = pipeline.home / "other"
        pipeline.write("extra.md", text_about("extra"), folder=other)
        sources = f"sources:\n  extra: {{kind: filesystem, folder: {other}}}\n"
        pipeline.home.joinpath("sources.yaml").write_text(sources)
        pipeline.configure(RAG_SOURCES_FILE=str(pipeline.home / "sources.yaml"))
    pipeline.configure(RAG_METADATA_KEEP="", RAG_METADATA_LEAVE_OUT="depart*")
    run = pipeline.refresh().checked()
    assert run.metadata["deduped_documents"]["num_deleted"] == 0
    metadata = {
        location["path"]: location.get("metadata")
        for point in pipeline.points().values()
        for location in point.payload["locations"]
    }
    assert metadata["topic03.md"] == {"year": 2023}
    assert pipeline.problems_of_production() == ()


@pytest.mark.slow
def test_metadata_survive_a_lost_ledger_and_a_move(pipeline: Pipeline) -> None:
    pipeline.refresh().checked()
    before = pipeline.points()
    for path in pipeline.state_dir.glob("ledger.sqlite*"):
        path.unlink()
    run = pipeline.refresh().checked()
    assert run.metadata["staging_collection"]["written"] is False
    (pipeline.documents / "moved").mkdir()
    (pipeline.documents / "topic03.md").rename(pipeline.documents / "moved" / "topic03.md")
    run = pipeline.refresh().checked()
    assert run.metadata["deduped_documents"]["num_moved"] == 1
    now = pipeline.points()
    assert now.keys() == before.keys()
    assert found(pipeline, "metadata.year=2023") == numbers(3, 8, 13, 18)


def test_a_misspelled_key_to_keep_is_named_with_the_meant_one(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.configure(RAG_METADATA_KEEP="autor,author")
    pipeline.succeed("plan")
    warnings = [record.message for record in caplog.records if "RAG_METADATA_KEEP" in record.message]
    assert warnings == ["RAG_METADATA_KEEP names autor, but no document has this key: did you mean author?"]

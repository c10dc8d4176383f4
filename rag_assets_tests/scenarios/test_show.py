"""`rag-assets show`: a document as a generation holds it."""

from typing import Any

import pytest

from rag_assets.text.normalization import normalize_text
from rag_assets_tests.pipeline import THRESHOLD, Pipeline, text_about
from rag_assets_tests.scenarios.conftest import CHANGED

TABLE = f"# Prices\n\n## Paper\n\nA4      10 EUR\nA3      20 EUR\n\n## Ink\n\n{'black ' * 60}\n"


def shown(pipeline: Pipeline, *arguments: str) -> dict[str, Any]:
    return pipeline.json("show", *arguments, "--json")


def test_the_chunks_are_the_text_of_the_document(promoted: Pipeline) -> None:
    report = shown(promoted, "topic05.md")
    assert (report["document_id"], report["role"]) == ("filesystem:topic05.md", "production")
    text = ""
    for number, chunk in enumerate(report["chunks"]):
        assert chunk["chunk_index"] == number
        assert chunk["heading_path"] == report["chunks"][0]["heading_path"] != []
        text += chunk["text"][len(text) - chunk["start"] :]
    assert text == normalize_text(text_about(5))
    assert report["num_chunks"] == len(report["chunks"]) > 1
    assert report["num_tokens"] == sum(chunk["token_count"] for chunk in report["chunks"])


@pytest.mark.parametrize("name", ["topic05.md", "filesystem:topic05.md", "documents/topic05.md"])
def test_a_document_has_the_names_of_trace(promoted: Pipeline, name: str) -> None:
    assert shown(promoted, name)["document_id"] == "filesystem:topic05.md"
    assert shown(promoted, shown(promoted, name)["source_uri"])["asked"].startswith("file://")


def test_every_location_of_the_text_is_listed(promoted: Pipeline) -> None:
    promoted.write("copy.md", text_about(5))
    promoted.refresh().checked()
    report = shown(promoted, "topic05.md")
    assert [one["path"] for one in report["locations"]] == ["copy.md", "topic05.md"]
    assert "also at        filesystem:copy.md\n" in promoted.succeed("show", "topic05.md")


def test_the_page_for_a_person_has_everything_in_80_columns(promoted: Pipeline) -> None:
    promoted.configure(RAG_CHUNKER="section")
    promoted.write("hr/prices.md", TABLE)
    promoted.refresh().checked()
    output = promoted.succeed("show", "prices.md")
    assert output.startswith("filesystem:hr/prices.md\n")
    assert f"generation {promoted.production().production}, in production\n" in output
    assert "title          Prices\n" in output
    assert " added, run" in " ".join(output.split())
    assert "tokens: Prices > Ink\n" in output
    assert "\n   A4      10 EUR\n" in output
    assert max(len(line) for line in output.splitlines() if "file://" not in line) <= 80


def test_another_generation_shows_its_own_text(promoted: Pipeline) -> None:
    now, before = (shown(promoted, CHANGED, "--generation", role) for role in ("production", "previous"))
    assert now["chunks"][0]["text"] != before["chunks"][0]["text"]
    assert now["other_generations"] == [
        {
            "generation": before["generation"],
            "role": "previous",
            "content_hash": before["content_hash"],
            "has_same_text": False,
        }
    ]
    output = " ".join(promoted.succeed("show", CHANGED).split())
    assert f"previous another text in generation {before['generation']}" in output
    assert shown(promoted, "topic04.md")["other_generations"][0]["has_same_text"]


def test_a_kept_candidate_shows_its_text_and_production_says_that_it_is_not_live(promoted: Pipeline) -> None:
    promoted.configure(RAG_KEEP_FAILED_CANDIDATE="true", RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic07.md", text_about("another seventh"))
    assert not promoted.refresh().success
    promoted.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    assert shown(promoted, "topic07.md", "--generation", "candidate")["chunks"][0]["text"] in normalize_text(
        text_about("another seventh")
    )
    output = " ".join(promoted.succeed("show", "topic07.md").split())
    assert "updated, run /runs/" in output
    assert output.count("(not in production)") == 1


def test_a_document_only_in_a_kept_candidate_is_found_there(promoted: Pipeline) -> None:
    promoted.configure(RAG_KEEP_FAILED_CANDIDATE="true", RAG_EVAL_THRESHOLD="0.999")
    promoted.write("new.md", text_about("new"))
    assert not promoted.refresh().success
    promoted.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
    _, _, errors = promoted.command("show", "new.md")
    [candidate] = set(promoted.generations()) - promoted.production().kept
    assert f"it is in generation {candidate}, a candidate rejected by the gate: Recall@5" in errors
    assert errors.endswith(f"Add `--generation {candidate}`\n")
    assert shown(promoted, "new.md", "--generation", candidate)["num_chunks"] > 0


def test_a_quarantined_document_shows_its_last_good_version_and_the_reason(promoted: Pipeline) -> None:
    promoted.write("topic09.md", b"")
    promoted.refresh().checked()
    report = shown(promoted, "topic09.md")
    assert report["chunks"][0]["text"] in normalize_text(text_about(9))
    assert report["quarantine"]["reason"] == "empty"
    output = " ".join(promoted.succeed("show", "topic09.md").split())
    assert "empty, The file has no bytes. (its last good version is served)" in output


def test_a_document_elsewhere_or_nowhere_is_an_error_with_the_next_step(promoted: Pipeline) -> None:
    promoted.remove("topic08.md")
    promoted.refresh().checked()
    production = promoted.production().production
    previous = f"generation {promoted.production().previous}, the previous one"
    for name, advice in (
        ("topic08.md", f"it is in {previous}. Add `--generation previous`"),
        ("topic5.md", "did you mean filesystem:topic"),
        ("no such", "`rag-assets trace 'no such'` says why"),
    ):
        code, output, errors = promoted.command("show", name)
        assert (code, output) == (1, "")
        assert f"generation {production} (production) has no document {name!r}: {advice}" in errors


def test_an_ambiguous_name_is_refused(promoted: Pipeline) -> None:
    promoted.write("hr/topic05.md", text_about("another"))
    promoted.refresh().checked()
    assert shown(promoted, "topic05.md")["document_id"] == "filesystem:topic05.md"  # a path, of one document
    promoted.write("it/b.md", text_about("one"))
    promoted.write("hr/b.md", text_about("two"))
    promoted.refresh().checked()
    code, _, errors = promoted.command("show", "b.md")
    assert code == 1
    assert "ambiguous, it fits filesystem:hr/b.md, filesystem:it/b.md: use one of these ids" in errors


def test_the_sources_are_not_asked(promoted: Pipeline) -> None:
    promoted.documents.rename(promoted.home / "away")
    assert shown(promoted, "topic05.md")["num_chunks"] > 1

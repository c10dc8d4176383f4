"""`rag-assets quarantine`: the quarantined documents with reason, date and served version."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from rag_assets.errors import QuarantineReason
from rag_assets.inspection.quarantine import WHAT_TO_DO
from rag_assets_tests.pipeline import Pipeline, text_about

TORN = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog"


def quarantine(pipeline: Pipeline) -> dict[str, Any]:
    return json.loads(pipeline.succeed("quarantine", "--json"))


def test_before_the_first_refresh_no_document_is_quarantined(empty: Pipeline) -> None:
    assert "no document is quarantined" in empty.succeed("quarantine")
    assert quarantine(empty) == {
        "knowledge_base": {"name": "knowledge_base", "place": str(empty.state_dir), "ledger": None},
        "refresh_id": None,
        "at": None,
        "oldest_at": None,
        "num_quarantined": 0,
        "reasons": {},
        "documents": [],
    }


def test_each_document_is_listed_with_reason_date_and_served_version(promoted: Pipeline) -> None:
    assert "no document is quarantined" in promoted.succeed("quarantine")
    promoted.write("nothing.txt", b"")
    time.sleep(1)  # refreshes of one second have no order
    first = promoted.refresh().checked()
    promoted.write("topic09.md", b"")
    promoted.write("torn.pdf", TORN)
    promoted.refresh().checked()
    with promoted.knowledge_base() as knowledge_base:
        last = knowledge_base.artifacts.find("raw_documents", ())
        before = knowledge_base.artifacts.find("raw_documents", (first.run_id,))

    report = quarantine(promoted)
    assert (report["refresh_id"], report["at"]) == (last.header.refresh_id, last.header.created_at)
    assert (report["num_quarantined"], report["reasons"]) == (3, {"empty": 2, "corrupt": 1})
    assert [
        (one["document_id"], one["reason"], one["since"], one["last_good_version_served"])
        for one in report["documents"]
    ] == [
        ("filesystem:nothing.txt", "empty", before.header.created_at, False),
        ("filesystem:topic09.md", "empty", last.header.created_at, True),
        ("filesystem:torn.pdf", "corrupt", last.header.created_at, False),
    ]
    said = promoted.succeed("quarantine")
    assert said.startswith("3 quarantined")
    assert re.search(r"^empty +2$", said, re.MULTILINE)
    assert "topic09.md: The file has no bytes. (its last good version is served, since" in said
    assert re.search(r"^empty +2\n  fill it, install tesseract-ocr, or remove it$", said, re.MULTILINE)

    promoted.write("topic09.md", text_about("mended"))
    promoted.remove("torn.pdf", "nothing.txt")
    promoted.refresh().checked()
    assert quarantine(promoted)["documents"] == []


def test_a_last_good_version_removed_by_a_rollback_is_not_reported_as_served(promoted: Pipeline) -> None:
    promoted.write("new.md", text_about("new"))
    promoted.refresh().checked()
    promoted.write("new.md", b"")
    promoted.refresh().checked()

    def reports() -> list[bool]:
        [in_status] = promoted.status()["last_refresh"]["quarantined"]
        [in_quarantine] = quarantine(promoted)["documents"]
        explanation = json.loads(promoted.succeed("trace", "new.md", "--json"))["explanation"][0]
        return [
            in_status["last_good_version_served"],
            in_quarantine["last_good_version_served"],
            explanation.endswith("its last good version is served"),
        ]

    assert reports() == [True, True, True]
    promoted.succeed("rollback")
    assert "new.md" not in promoted.export()
    assert reports() == [False, False, False]
    for command in (("status",), ("quarantine",), ("trace", "new.md")):
        said = promoted.succeed(*command)
        assert "no version of it is served" in said
        assert "its last good version" not in said


def test_a_document_quarantined_in_the_oldest_recorded_refresh_may_be_so_for_longer(empty: Pipeline) -> None:
    empty.write("nothing.txt", b"")
    empty.refresh().checked()
    empty.refresh().checked()
    report = quarantine(empty)
    assert report["documents"][0]["since"] is None
    assert f"since {report['oldest_at']} or earlier)" in empty.succeed("quarantine")


def test_a_refresh_that_failed_its_gate_counts(promoted: Pipeline) -> None:
    promoted.write("nothing.txt", b"")
    promoted.write("topic03.md", text_about("third version"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    assert not promoted.refresh().success
    assert quarantine(promoted)["num_quarantined"] == 1


def test_every_reason_is_explained_as_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8").replace("`", "")
    page = page[page.index("## quarantine") : page.index("## doctor")]
    rows = dict(re.findall(r"^\| (\w+) \|.*\| (.*) \|$", page, re.MULTILINE))
    del rows["reason"]
    assert {reason: text.replace("[", "") for reason, text in rows.items()} == WHAT_TO_DO
    assert set(rows) == set(get_args(QuarantineReason))


# Read again


@pytest.fixture
def quarantined(promoted: Pipeline) -> Pipeline:
    """Three broken documents, two of them with the same bytes."""
    promoted.write("torn.pdf", TORN)
    promoted.write("hr/copy.pdf", TORN)
    promoted.write("nothing.txt", b"")
    promoted.refresh().checked()
    assert promoted.refresh().checked().metadata["raw_documents"]["num_parsed"] == 0
    return promoted


def read_by(pipeline: Pipeline) -> tuple[int, int]:
    metadata = pipeline.refresh().checked().metadata["raw_documents"]
    return metadata["num_read"], metadata["num_parsed"]


def test_retry_reads_all_quarantined_documents_once_more(quarantined: Pipeline) -> None:
    said = quarantined.succeed("quarantine", "--retry")
    assert said.splitlines() == [
        "filesystem:hr/copy.pdf (corrupt): will be read again",
        "filesystem:nothing.txt (empty): will be read again",
        "filesystem:torn.pdf (corrupt): will be read again",
        "the next refresh reads 3 quarantined documents",
    ]
    assert quarantined.json("plan", "--json")["raw_documents"]["num_read"] == 3
    assert read_by(quarantined) == (3, 2)
    assert read_by(quarantined) == (0, 0)
    assert quarantine(quarantined)["num_quarantined"] == 3


def test_retry_mends_what_was_mended_outside_of_the_document(quarantined: Pipeline) -> None:
    quarantined.write("plain.txt", "A text.")
    quarantined.refresh().checked()
    with quarantined.knowledge_base() as knowledge_base:
        good, empty = (
            knowledge_base.ledger.parses([uri])[uri]
            for uri in ((quarantined.documents / name).as_uri() for name in ("plain.txt", "nothing.txt"))
        )
        crashed = replace(
            good, content_hash=None, parser_version=empty.parser_version, quarantine_reason="crashed"
        )
        knowledge_base.ledger.put_parses([crashed])
    quarantined.refresh().checked()
    assert quarantine(quarantined)["reasons"]["crashed"] == 1
    quarantined.succeed("quarantine", "--retry", "plain.txt")
    quarantined.refresh().checked()
    assert "crashed" not in quarantine(quarantined)["reasons"]


def test_retry_of_named_documents_leaves_the_others(quarantined: Pipeline) -> None:
    report = quarantined.json("quarantine", "--json", "--retry", "nothing.txt")
    assert report == {
        "num_quarantined": 1,
        "documents": [{"document_id": "filesystem:nothing.txt", "reason": "empty", "was_remembered": True}],
    }
    assert read_by(quarantined) == (1, 1)


def test_a_document_with_the_same_bytes_is_read_again_too(quarantined: Pipeline) -> None:
    quarantined.succeed("quarantine", "--retry", "filesystem:torn.pdf")
    assert read_by(quarantined) == (2, 1)


def test_an_unknown_name_forgets_nothing(quarantined: Pipeline) -> None:
    for name, advice in (
        ("zzz", "`rag-assets quarantine` lists them"),
        ("tron.pdf", "did you mean filesystem:torn.pdf"),
    ):
        code, _, errors = quarantined.command("quarantine", "--retry", "nothing.txt", name)
        assert (code, f"no quarantined document is named {name!r}: {advice}" in errors) == (1, True)
    assert read_by(quarantined) == (0, 0)


def test_two_quarantined_documents_of_one_name_are_not_confused(quarantined: Pipeline) -> None:
    quarantined.write("hr/nothing.txt", b"")
    quarantined.write("it/other.txt", b"")
    quarantined.write("hr/other.txt", b"")
    quarantined.refresh().checked()
    code, _, errors = quarantined.command("quarantine", "--retry", "other.txt")
    assert code == 1
    assert "it fits filesystem:hr/other.txt, filesystem:it/other.txt" in errors


def test_without_a_quarantined_document_there_is_nothing_to_read_again(promoted: Pipeline) -> None:
    assert promoted.succeed("quarantine", "--retry") == "no document is quarantined\n"

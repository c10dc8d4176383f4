"""`rag-assets quarantine`: the quarantined documents with reason, date and served version."""

import json
import re
import time
from pathlib import Path
from typing import Any, get_args

from rag_assets.errors import QuarantineReason
from rag_assets_tests.pipeline import Pipeline, text_about

TORN = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog"


def quarantine(pipeline: Pipeline) -> dict[str, Any]:
    return json.loads(pipeline.succeed("quarantine", "--json"))


def test_before_the_first_refresh_no_document_is_quarantined(empty: Pipeline) -> None:
    assert "no document is quarantined" in empty.succeed("quarantine")
    assert quarantine(empty) == {
        "knowledge_base": {"name": "knowledge_base", "place": str(empty.state_dir)},
        "refresh_id": None,
        "at": None,
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


def test_a_document_quarantined_in_the_oldest_recorded_refresh_has_no_date(empty: Pipeline) -> None:
    empty.write("nothing.txt", b"")
    empty.refresh().checked()
    empty.refresh().checked()
    [entry] = quarantine(empty)["documents"]
    assert entry["since"] is None
    assert "since" not in empty.succeed("quarantine")


def test_a_refresh_that_failed_its_gate_counts(promoted: Pipeline) -> None:
    promoted.write("nothing.txt", b"")
    promoted.write("topic03.md", text_about("third version"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    assert not promoted.refresh().success
    assert quarantine(promoted)["num_quarantined"] == 1


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|.*\|.*\|$", page, re.MULTILINE)) == set(get_args(QuarantineReason))

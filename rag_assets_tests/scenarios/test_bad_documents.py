"""A corrupt document affects no other document, and its last good version stays."""

import io
import shutil

import pytest
from pypdf import PdfWriter

from rag_assets.records import Point
from rag_assets_tests.pipeline import Pipeline, text_about

BAD = b"\x00\x01\x02\xff" * 200


def _encrypted_pdf() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_each_kind_of_bad_document_is_reported_with_its_reason(empty: Pipeline) -> None:
    empty.write("torn.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    empty.write("locked.pdf", _encrypted_pdf())
    empty.write("nothing.txt", b"")
    empty.write("program.txt", b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)))
    run = empty.refresh().checked()
    reasons = {
        "filesystem:torn.pdf": "corrupt",
        "filesystem:locked.pdf": "encrypted",
        "filesystem:nothing.txt": "empty",
        "filesystem:program.txt": "not_text",
    }
    assert run.metadata["raw_documents"]["num_quarantined"] == 4
    table = run.metadata["deduped_documents"]["quarantined"].records
    assert {row.data["document_id"]: str(row.data["reason"]).partition(":")[0] for row in table} == reasons
    listed = empty.status()["last_refresh"]["quarantined"]
    assert {entry["document_id"]: entry["reason"] for entry in listed} == reasons
    assert len(empty.served()) == 20
    assert not empty.served() & reasons.keys()

    again = empty.refresh().checked()
    assert again.metadata["raw_documents"]["num_parsed"] == 0
    assert again.metadata["raw_documents"]["num_quarantined"] == 4
    assert again.metadata["staging_collection"]["written"] is False


@pytest.mark.parametrize("texts", ["kept", "lost"])
def test_a_corrupted_file_is_rebuilt_from_its_last_good_version(promoted: Pipeline, texts: str) -> None:
    good = _text(_of(promoted, "topic09.md"))
    promoted.write("topic09.md", BAD)
    assert promoted.refresh().checked().metadata["staging_collection"]["written"] is False
    if texts == "lost":
        shutil.rmtree(promoted.state_dir / "texts")
    promoted.configure(RAG_CHUNK_SIZE="48")
    promoted.refresh().checked()
    rebuilt = _of(promoted, "topic09.md")
    assert max(point.payload["token_count"] for point in rebuilt) <= 48
    assert _text(rebuilt) == good


def test_a_repaired_file_is_indexed_again(promoted: Pipeline) -> None:
    promoted.write("topic09.md", BAD)
    promoted.refresh().checked()
    promoted.write("topic09.md", text_about("mended"))
    run = promoted.refresh().checked()
    assert run.metadata["deduped_documents"]["num_updated"] == 1
    assert run.metadata["deduped_documents"]["num_quarantined"] == 0


def test_deleting_a_corrupted_file_removes_its_last_good_version(promoted: Pipeline) -> None:
    promoted.write("topic09.md", BAD)
    promoted.refresh().checked()
    promoted.remove("topic09.md")
    assert promoted.refresh().checked().metadata["deduped_documents"]["num_deleted"] == 1
    assert "filesystem:topic09.md" not in promoted.served()


def _text(points: list[Point]) -> str:
    """Return the text of a document from its overlapping chunks."""
    text = ""
    for point in sorted(points, key=lambda point: point.payload["start"]):
        text += point.payload["text"][len(text) - point.payload["start"] :]
    return text


def _of(pipeline: Pipeline, filename: str) -> list[Point]:
    return [
        point
        for point in pipeline.points().values()
        if any(location["filename"] == filename for location in point.payload["locations"])
    ]

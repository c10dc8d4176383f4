from typing import Any

from rag_assets.inspection.trace import describe

NOTHING: dict[str, Any] = {
    "asked": "a.md",
    "outcome": "served",
    "explanation": ["production holds it"],
    "document_id": "filesystem:a.md",
    "source": None,
    "parse": None,
    "content_hash": None,
    "metadata": {},
    "metadata_left_out": [],
    "history": [],
    "generations": [],
    "chunks": None,
    "suggestions": [],
}


def test_a_long_list_of_chunks_is_shortened_and_their_number_is_complete() -> None:
    points = [
        {"id": f"point-{number}", "token_count": 7, "heading_path": ["A", "B"], "flags": []}
        for number in range(1200)
    ]
    chunks = {
        "num_chunks": 1200,
        "num_tokens": 8400,
        "refresh_id": "20260101T000000-a",
        "run_path": None,
        "points": points,
    }
    said = describe({**NOTHING, "chunks": chunks})
    assert "chunks         1,200, 8,400 tokens, made by refresh 20260101T000000-a\n" in said
    assert said.count("A > B") == 20
    assert said.endswith("and 1,180 more")
    assert "flagged" not in said
    points[3]["flags"] = ["instructions"]
    assert "point-3      7 tokens  A > B  flagged: instructions" in describe({**NOTHING, "chunks": chunks})


def test_an_unknown_run_is_left_out() -> None:
    entry = {"refresh_id": "r", "change": None, "moved_from": None, "moved_to": None, "run_path": None}
    assert (
        "r: read, not compared with production" in describe({**NOTHING, "history": [entry]}).splitlines()[-1]
    )
    assert describe({**NOTHING, "history": [{**entry, "run_path": "/runs/1"}]}).endswith(", run /runs/1")

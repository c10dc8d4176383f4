from rag_assets.inspection.lines import degraded_lines, labeled, quarantined_text, unconfigured_lines


def test_the_texts_of_all_lines_begin_in_one_column() -> None:
    lines = [
        labeled("previous", "g1"),
        labeled("", "2 documents"),
        *degraded_lines({"s3": "source s3: the bucket is gone"}),
        *unconfigured_lines({"archive": 2}),
    ]
    assert [line[:15] for line in lines] == [
        "previous       ",
        "               ",
        "DEGRADED       ",
        "NOT CONFIGURED ",
    ]
    assert lines[2][15:] == "source s3: the bucket is gone"


def test_one_document_is_not_counted_in_the_plural() -> None:
    (line,) = unconfigured_lines({"archive": 1})
    assert "1 document still in production" in line


def test_a_quarantined_document_names_its_served_version() -> None:
    entry = {
        "document_id": "a",
        "reason": "empty",
        "detail": "It is empty.",
        "last_good_version_served": True,
    }
    assert quarantined_text(entry) == "a: empty, It is empty. (its last good version is served)"
    assert quarantined_text({**entry, "last_good_version_served": False}).endswith(
        "(no version of it is served)"
    )

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources import notion
from rag_assets.sources.notion import NotionOptions, NotionSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.notion import TOKEN, Workspace, block, id_of

require("notion_client")


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    workspace = Workspace()
    yield workspace
    workspace.close()


def source_of(workspace: Workspace, **options: Any) -> NotionSource:
    settings = {"base_url": workspace.url, "token": TOKEN, "timeout_seconds": 5, **options}
    return NotionSource("notes", NotionOptions(**settings))


def only_entry(source: NotionSource) -> SourceEntry:
    (entry,) = source.list_entries()
    return entry


def text_of(source: NotionSource) -> str:
    return source.read(only_entry(source)).data.decode()


def test_a_page_is_described_completely(workspace: Workspace) -> None:
    page = workspace.add("In/Out", edited_at=datetime(2026, 1, 5, 8, 11, 59, tzinfo=UTC))
    assert only_entry(source_of(workspace)) == SourceEntry(
        document_id=f"notes:{page.id}",
        source="notes",
        uri=f"https://www.notion.so/{UUID(page.id).hex}",
        path=page.id,
        filename="In-Out.md",
        version_token="2026-01-05T08:11:00Z",
        size_bytes=0,
        modified_at="2026-01-05T08:11:00Z",
        access=None,
        metadata=Metadata.of({"created": "2026-01-05T08:11:00Z"}),
    )


def test_a_new_title_is_the_same_document(workspace: Workspace) -> None:
    page = workspace.add("Before")
    source = source_of(workspace)
    before = only_entry(source)
    page.title, page.edited_at = "After", page.edited_at + timedelta(minutes=1)
    after = only_entry(source)
    assert (after.document_id, after.uri) == (before.document_id, before.uri)
    assert after.version_token != before.version_token
    assert source.read(after).title == "After"


def test_pages_in_the_trash_are_not_listed(workspace: Workspace) -> None:
    workspace.add("kept")
    workspace.add("thrown away", in_trash=True)
    assert only_entry(source_of(workspace)).path == id_of("kept")


def test_only_pages_of_the_named_data_sources_are_listed(workspace: Workspace) -> None:
    table = id_of("table")
    for number in range(5):
        workspace.add(f"row {number}", data_source=table)
    workspace.add("another page")
    assert len(list(source_of(workspace).list_entries())) == 6
    assert len(list(source_of(workspace, data_sources=(table,)).list_entries())) == 5
    with pytest.raises(SourceUnavailable):
        list(source_of(workspace, data_sources=(id_of("no table"),)).list_entries())


# When a time of change can be trusted


@pytest.mark.parametrize(("age_seconds", "trusted"), [(-300, False), (30, False), (300, True)])
def test_a_page_changed_a_moment_ago_has_no_version_token(
    workspace: Workspace, age_seconds: int, trusted: bool
) -> None:
    workspace.add(
        "page", block("paragraph", "text"), edited_at=datetime.now(UTC) - timedelta(seconds=age_seconds)
    )
    source = source_of(workspace)
    entry = only_entry(source)
    assert bool(entry.version_token) is trusted
    assert bool(source.read(entry).version_token) is trusted


def test_an_edit_within_the_same_minute_is_seen(workspace: Workspace) -> None:
    now = datetime.now(UTC)
    page = workspace.add("page", block("paragraph", "one"), edited_at=now)
    source = source_of(workspace)
    first = source.read(only_entry(source))
    page.blocks = [block("paragraph", "two")]
    entry = only_entry(source)
    assert entry.version_token == first.version_token == ""  # so that it is read, and its bytes compared
    assert b"two" in source.read(entry).data


def test_a_reading_has_the_token_of_its_own_version(workspace: Workspace) -> None:
    page = workspace.add("page", block("paragraph", "one"))
    source = source_of(workspace)
    entry = only_entry(source)
    page.blocks, page.edited_at = [block("paragraph", "two")], page.edited_at + timedelta(minutes=1)
    reading = source.read(entry)
    assert b"two" in reading.data
    assert reading.version_token == only_entry(source).version_token != entry.version_token


# Reading


def test_blocks_are_read_to_the_last_page_and_the_innermost_level(workspace: Workspace) -> None:
    items = [
        block(
            "bulleted_list_item",
            f"item {n}",
            [block("bulleted_list_item", f"inner {n}.{m}") for m in range(3)],
        )
        for n in range(5)
    ]
    workspace.add("page", *items)
    text = text_of(source_of(workspace))
    assert text.startswith("# page\n\n- item 0\n  - inner 0.0\n  - inner 0.1\n  - inner 0.2\n- item 1\n")
    assert text.count("inner") == 15


def test_pages_within_a_page_are_separate_documents(workspace: Workspace) -> None:
    inside = [block("paragraph", "text of another page")]
    workspace.add("page", block("child_page", None, inside, title="Another page"))
    text = text_of(source_of(workspace))
    assert "Another page" in text
    assert "text of another page" not in text


def test_rows_of_a_database_have_their_properties(workspace: Workspace) -> None:
    properties = {"Port": {"type": "number", "number": 6333}}
    workspace.add("row", block("paragraph", "text"), properties=properties, data_source=id_of("table"))
    assert text_of(source_of(workspace)) == "# row\n\nPort: 6333\n\ntext\n"


@pytest.mark.parametrize("title", ["", "page"])
def test_a_page_may_lack_a_title(workspace: Workspace, title: str) -> None:
    workspace.add("page", block("paragraph", "text")).title = title
    source = source_of(workspace)
    entry = only_entry(source)
    assert entry.filename == f"{title or 'untitled'}.md"
    assert source.read(entry).title == title


def test_a_page_with_too_many_blocks_is_quarantined(workspace: Workspace) -> None:
    workspace.add("page", *[block("paragraph", "text", [block("paragraph", "text")]) for _ in range(3)])
    assert text_of(source_of(workspace, max_blocks=6))
    with pytest.raises(DocumentUnreadable, match="more than 5 blocks"):
        text_of(source_of(workspace, max_blocks=5))


def test_a_page_with_endless_nesting_is_quarantined(workspace: Workspace) -> None:
    innermost = block("toggle", "text")
    for _ in range(notion._DEEPEST_BLOCK + 1):
        innermost = block("toggle", "text", [innermost])
    workspace.add("page", innermost)
    with pytest.raises(DocumentUnreadable, match="nested"):
        text_of(source_of(workspace))


def test_an_unshared_part_is_left_out(workspace: Workspace) -> None:
    page = workspace.add(
        "page", block("synced_block", None, [block("paragraph", "hidden")]), block("paragraph", "text")
    )
    workspace.refused[id_of(f"{page.id} 0")] = (404, "object_not_found")
    assert text_of(source_of(workspace)) == "# page\n\ntext\n"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "object_not_found", DocumentUnreadable),
        (403, "restricted_resource", DocumentUnreadable),
        (400, "validation_error", DocumentUnreadable),
        (401, "unauthorized", SourceUnavailable),
        (502, "bad_gateway", SourceUnavailable),
    ],
)
@pytest.mark.parametrize("part", ["/pages/", "/blocks/"])
def test_each_status_of_a_page_has_its_error(
    workspace: Workspace, part: str, status: int, code: str, error: type[Exception]
) -> None:
    workspace.add("page", block("paragraph", "text"))
    source = source_of(workspace)
    entry = only_entry(source)
    workspace.refused[part] = (status, code)
    with pytest.raises(error) as raised:
        source.read(entry)
    assert type(raised.value) is error


def test_a_page_moved_to_the_trash_meanwhile_is_gone(workspace: Workspace) -> None:
    page = workspace.add("page")
    source = source_of(workspace)
    entry = only_entry(source)
    page.in_trash = True
    with pytest.raises(DocumentGone):
        source.read(entry)


# Faults of the other side


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"next_cursor": None}, id="more without a cursor"),
        pytest.param({"next_cursor": "0"}, id="a circle"),
        pytest.param({"has_more": None}, id="no word on more"),
        pytest.param({"results": None}, id="no results"),
        pytest.param({"results": [{"object": "page", "id": id_of("a")}]}, id="pages without properties"),
        pytest.param({"results": [{"object": "page", "id": "../a"}]}, id="an id that is none"),
    ],
)
def test_a_malformed_listing_is_an_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    for number in range(3):
        workspace.add(f"page {number}")
    truth = workspace._answer
    monkeypatch.setattr(
        workspace, "_answer", lambda path, question: {**truth(path, question), "has_more": True, **change}
    )
    with pytest.raises(SourceUnavailable):
        list(source_of(workspace).list_entries())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"next_cursor": "2"}, id="a cursor without more"),
        pytest.param(
            {"request_status": {"type": "incomplete", "incomplete_reason": "query_result_limit_reached"}},
            id="declared incomplete",
        ),
    ],
)
def test_a_listing_that_contradicts_its_end_is_incomplete(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    workspace.add("page")
    truth = workspace._answer
    monkeypatch.setattr(workspace, "_answer", lambda path, question: {**truth(path, question), **change})
    with pytest.raises(SourceUnavailable, match="incomplete"):
        list(source_of(workspace).list_entries())


def test_an_interrupted_listing_of_blocks_is_an_error(workspace: Workspace) -> None:
    workspace.add("page", *[block("paragraph", "text")] * 3)
    source = source_of(workspace)
    entry = only_entry(source)
    with workspace.failing("torn listing"), pytest.raises(SourceUnavailable):
        source.read(entry)


def test_a_rate_limit_is_obeyed_with_a_maximum_pause(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.add("page", block("paragraph", "text"))
    source = source_of(workspace)
    entry = only_entry(source)
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    workspace.refused["/pages/"] = (429, "rate_limited")
    workspace.headers["Retry-After"] = "86400"
    with pytest.raises(SourceUnavailable, match="limiting the rate"):
        source.read(entry)
    longest = notion._LONGEST_RETRY_AFTER_SECONDS
    assert [pause for pause in pauses if pause >= longest] == [longest] * notion._MAX_RETRIES


def test_an_endlessly_slow_answer_is_given_up(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each byte comes well within the timeout of one read.
    monkeypatch.setattr(notion, "_LONGEST_RETRY_AFTER_SECONDS", 0)
    source = source_of(workspace, timeout_seconds=0.3)
    workspace.failure = "drip"
    with pytest.raises(SourceUnavailable, match="in time"):
        list(source.list_entries())


def test_half_surrogate_pairs_do_no_harm(workspace: Workspace) -> None:
    workspace.add("half", block("paragraph", "a " + chr(0xD83D))).title = "b " + chr(0xD83D)
    source = source_of(workspace)
    (entry,) = source.list_entries()
    assert source.read(entry).title == "b ?"
    assert repr(entry).encode()


def test_neither_secrets_nor_text_reach_logs_and_errors(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    workspace.add("page", block("paragraph", "the whole text"))
    source = source_of(workspace)
    entry = only_entry(source)
    source.read(entry)
    workspace.refused["/pages/"] = (401, "unauthorized")
    with pytest.raises(SourceUnavailable) as raised:
        source.read(entry)
    written = capfd.readouterr()
    for shown in (caplog.text, written.out, written.err, str(raised.value), repr(source.options)):
        assert TOKEN not in shown
        assert "whole text" not in shown
        assert "hunter2" not in shown
    assert written.out == ""


@pytest.mark.parametrize("url", ["api.notion.com", "https://ann:secret@api.notion.com", "https://n?a=b"])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        NotionOptions(token=TOKEN, base_url=url)
    assert "secret@" not in str(raised.value)


def test_an_invalid_token_is_reported_without_its_value(workspace: Workspace) -> None:
    with pytest.raises(SourceUnavailable) as raised:
        list(source_of(workspace, token="sécret-token").list_entries())
    assert "cret" not in str(raised.value).replace("secret of", "")


def test_without_its_client_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notion, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"notion-client.*-e '.\[notion\]'"):
        NotionSource("wiki", NotionOptions(token=TOKEN))

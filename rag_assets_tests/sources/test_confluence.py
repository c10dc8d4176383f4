import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.parsers import parse_document
from rag_assets.records import SourceEntry
from rag_assets.sources import confluence
from rag_assets.sources.confluence import ConfluenceOptions, ConfluenceSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.confluence_pages import body_path, entries_of, source_of
from rag_assets_tests.sources.scenes.confluence import TOKEN, Page, Wiki

require("atlassian")


def test_a_page_is_described_completely(wiki: Wiki) -> None:
    wiki.add(Page("7", "In/Out & more", "<p>text</p>", version=3))
    (entry,) = source_of(wiki).list_entries()
    assert entry == SourceEntry(
        document_id="wiki:ENG/7",
        source="wiki",
        uri=f"{wiki.url}/pages/viewpage.action?pageId=7",
        path="ENG/7",
        filename="In-Out & more.html",
        version_token="3 In/Out & more",
        size_bytes=0,
        modified_at="2026-01-05T08:11:12Z",
        access=("space:ENG",),
        metadata=Metadata.of(
            {
                "space": "ENG",
                "created": "2025-01-05T08:11:12Z",
                "last_modified_by": "712020:ann" if wiki.cloud else "Ann Example",
            }
        ),
    )


def test_listing_transfers_no_body(wiki: Wiki) -> None:
    for number in range(5):
        wiki.add(Page(str(number), f"page {number}", "<p>text</p>"))
    assert len(entries_of(source_of(wiki))) == 5
    assert wiki.num_bodies == 0
    assert not [question for question in wiki.questions if "body" in question]


def test_a_new_title_is_the_same_document_and_another_token(wiki: Wiki) -> None:
    page = wiki.add(Page("7", "Before", "<p>text</p>"))
    (before,) = source_of(wiki).list_entries()
    page.title = "After"
    (after,) = source_of(wiki).list_entries()
    assert (after.document_id, after.uri) == (before.document_id, before.uri)
    assert after.version_token != before.version_token


def test_only_the_named_spaces_are_listed(wiki: Wiki) -> None:
    for number in range(3):
        wiki.add(Page(f"1{number}", f"engineering {number}", ""))
        wiki.add(Page(f"2{number}", f"people {number}", "", space="HR"))
    assert {entry.path for entry in source_of(wiki, spaces=("HR",)).list_entries()} == {
        "HR/20",
        "HR/21",
        "HR/22",
    }
    assert len(entries_of(source_of(wiki, spaces=("HR", "ENG")))) == len(entries_of(source_of(wiki))) == 6


def test_a_missing_space_does_not_look_empty(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", ""))
    with pytest.raises(SourceUnavailable):
        list(source_of(wiki, spaces=("NOPE",)).list_entries())


@pytest.mark.parametrize("status", ["archived", "trashed", "draft"])
def test_only_current_pages_are_listed(wiki: Wiki, status: str) -> None:
    wiki.add(Page("7", "Here", ""))
    wiki.add(Page("8", "Not here", "", status=status))
    assert list(entries_of(source_of(wiki))) == ["7"]


def test_outdated_pages_in_an_answer_are_left_out(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    wiki.add(Page("7", "Old", "", status="archived"))
    truth = wiki._answer
    monkeypatch.setattr(wiki, "_answer", lambda path, query: truth(path, {**query, "status": "archived"}))
    assert entries_of(source_of(wiki)) == {}


# Reading


BODY = """
<p>A paragraph with <span class="status-macro aui-lozenge">STATUS</span>.</p>
<div class="confluence-information-macro confluence-information-macro-tip">
  <p class="title">Tip title</p><div class="confluence-information-macro-body"><p>Tip body</p></div></div>
<div class="code panel pdl"><div class="codeHeader panelHeader pdl"><b>Code title</b></div>
  <div class="codeContent panelContent pdl"><pre class="syntaxhighlighter-pre">def f():
    return "&lt;b class=&quot;x&quot;&gt;"</pre></div></div>
<div class="table-wrap"><table class="confluenceTable"><tbody>
  <tr><th class="confluenceTh"><p>Name</p></th><th>Port</th></tr>
  <tr><td><p>qdrant</p></td><td>6333</td></tr></tbody></table></div>
<ul><li><p>outer</p><ul><li>inner</li></ul></li></ul>
<div class="expand-container"><div class="expand-content" style="display:none"><p>Expanded</p></div></div>
<div class="columnLayout two-right-sidebar"><div class="cell aside sidebar"><p>Beside</p></div></div>
<div class="footnotes footer"><p>A footnote</p></div>
"""


def test_all_visible_text_of_a_page_is_kept(wiki: Wiki) -> None:
    wiki.add(Page("7", "Ports & <hosts>", BODY))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    reading = source.read(entry)
    parsed = parse_document(reading.data, reading.filename)
    text = " ".join(parsed.text.split())
    assert parsed.title == reading.title == "Ports & <hosts>"
    assert text.startswith("# Ports & <hosts>")
    for part in (
        "A paragraph with STATUS.",
        "Tip title Tip body",
        "Code title",
        'def f(): return "<b class="x">"',
        "Name Port qdrant 6333",
        "outer",
        "inner",
        "Expanded",
        "Beside",
        "A footnote",
    ):
        assert part in text


def test_a_reading_has_the_token_of_its_own_version(wiki: Wiki) -> None:
    page = wiki.add(Page("7", "Page", "<p>one</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    page.body, page.version = "<p>two</p>", 2
    reading = source.read(entry)
    assert b"two" in reading.data
    (listed,) = source.list_entries()
    assert reading.version_token == listed.version_token != entry.version_token


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, DocumentUnreadable),
        (403, DocumentUnreadable),
        (401, SourceUnavailable),
        (429, SourceUnavailable),
        (502, SourceUnavailable),
    ],
)
def test_each_status_of_a_page_has_its_error(wiki: Wiki, status: int, error: type[Exception]) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    wiki.unreadable[body_path(wiki, "7")] = status
    with pytest.raises(error) as raised:
        source.read(entry)
    assert type(raised.value) is error


def test_a_page_moved_to_the_trash_meanwhile_is_gone(wiki: Wiki) -> None:
    page = wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    page.status = "trashed"
    with pytest.raises(DocumentGone):
        source.read(entry)


def test_a_page_over_the_size_limit_is_quarantined(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", "x" * 1001))
    source = source_of(wiki, max_bytes=1000)
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable, match="too_large"):
        source.read(entry)


@pytest.mark.parametrize("body", [None, {}, {"export_view": None}, {"export_view": {"value": None}}])
def test_a_malformed_page_affects_only_itself(wiki: Wiki, monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    truth = wiki._answer
    monkeypatch.setattr(wiki, "_answer", lambda path, query: {**truth(path, query), "body": body})
    with pytest.raises(DocumentUnreadable, match="unknown form"):
        source.read(entry)


def test_circular_parents_end() -> None:
    assert confluence._ancestors("1", {"1": "2", "2": "3", "3": "2"}) is None


def test_half_surrogate_pairs_do_no_harm(wiki: Wiki) -> None:
    wiki.add(Page("7", "b " + chr(0xD83D), "a " + chr(0xD83D)))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    assert source.read(entry).title == "b ?"
    assert repr(entry).encode()


def test_neither_secrets_nor_text_reach_logs_and_errors(wiki: Wiki, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wiki.add(Page("7", "Page", "<p>the whole text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    source.read(entry)
    with wiki.failing("error"), pytest.raises(SourceUnavailable) as raised:
        source.read(entry)
    for shown in (caplog.text, str(raised.value), repr(source.options)):
        assert TOKEN not in shown
        assert "whole text" not in shown
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "url", ["wiki.example.com", "ftp://wiki", "https://ann:secret@wiki.example.com", "https://wiki?a=b"]
)
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ConfluenceOptions(url=url)
    assert "secret" not in str(raised.value)


def test_cloud_is_below_wiki() -> None:
    for url in ("https://example.atlassian.net", "https://example.atlassian.net/wiki/"):
        options = ConfluenceOptions(url=url, cloud=True)
        assert ConfluenceSource("wiki", options).url == "https://example.atlassian.net/wiki"


@pytest.mark.slow
def test_importing_the_source_imports_no_client(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = "import sys, rag_assets.sources.registry; sys.exit('atlassian' in sys.modules or 'requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_its_client_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluence, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"atlassian-python-api.*-e '.\[confluence\]'"):
        ConfluenceSource("wiki", ConfluenceOptions(url="https://wiki.example.com"))

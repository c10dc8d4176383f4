import pytest

from rag_assets.parsers import epub, parse_document
from rag_assets_tests.parsers.refusals import assert_text_or_unreadable, unreadable
from rag_assets_tests.parsers.zip_documents import (
    changed,
    epub_parts,
    make_epub,
    mutants,
    with_part,
    zipped_document,
)

PACKAGE = "OEBPS/book.opf"


@pytest.mark.parametrize("filename", ["a.epub", "a.txt", "a", "a.odt"])
def test_a_book_is_recognized_under_any_name(filename: str) -> None:
    parsed = parse_document(make_epub({"a.xhtml": "<p>Text</p>"}, title="Travel"), filename)
    assert (parsed.parser_name, parsed.title, parsed.text) == ("epub", "Travel", "Text")


def test_a_book_with_a_late_type_member_is_recognized() -> None:
    parts = epub_parts({"a.xhtml": "<p>Text</p>"})
    late = zipped_document({name: parts[name] for name in reversed(parts)})
    assert parse_document(late, "a.zip").parser_name == "epub"


def test_chapters_follow_the_spine_and_keep_their_headings() -> None:
    chapters = {"z.xhtml": "<h1>One</h1><p>a</p>", "a%20b.xhtml": "<h2>Two</h2><p># b</p>"}
    parts = epub_parts(chapters)
    parts["OEBPS/a b.xhtml"] = parts.pop("OEBPS/a%20b.xhtml")
    assert parse_document(zipped_document(parts), "a.epub").text.startswith("# One\n\na\n\n## Two\n\n")


def test_the_table_of_contents_and_non_text_are_left_out() -> None:
    parts = epub_parts(
        {"nav.xhtml": "<p>contents</p>", "a.xhtml": "<p>Text</p>"}, properties={"nav.xhtml": "nav"}
    )
    parts[PACKAGE] = (
        parts[PACKAGE]
        .replace("<spine>", '<spine><itemref idref="c"/>')
        .replace("<manifest>", '<manifest><item id="c" href="cover.svg" media-type="image/svg+xml"/>')
    )
    assert parse_document(zipped_document(parts), "a.epub").text == "Text"


def test_each_value_of_a_table_row_has_its_label() -> None:
    rows = "<tr><th>City</th><th>Rate</th><th>x</th></tr><tr><td>Oslo</td><td>80</td><td>y</td></tr>"
    assert (
        parse_document(make_epub({"a.xhtml": f"<table>{rows}</table>"}), "a").text
        == "City: Oslo; Rate: 80; x: y"
    )


def test_an_empty_element_does_not_swallow_the_chapter() -> None:
    body = '<script src="x"/><p id="a"/><p>one<br/>two<img src="x"/></p><textarea/><p>three</p>'
    text = parse_document(make_epub({"a.xhtml": body}), "a").text
    assert [line for line in text.split("\n") if line] == ["one", "two", "three"]


def test_a_missing_chapter_is_corrupt_not_half_a_book() -> None:
    data = make_epub({"a.xhtml": "<p>a</p>", "b.xhtml": "<p>b</p>"})
    assert unreadable(with_part(data, "OEBPS/b.xhtml", None), "a.epub").reason == "corrupt"
    assert unreadable(changed(data, PACKAGE, 'id="i1"', 'id="other"'), "a.epub").reason == "corrupt"


@pytest.mark.parametrize(
    ("algorithm", "uri", "reason"),
    [
        ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/a.xhtml", "encrypted"),
        ("http://www.idpf.org/2008/embedding", "OEBPS/a.xhtml", ""),
        ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/font.otf", ""),
    ],
)
def test_only_encrypted_chapters_make_a_book_encrypted(algorithm: str, uri: str, reason: str) -> None:
    encryption = (
        '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
        f'<enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData><enc:CipherReference URI="{uri}"/>'
        "</enc:CipherData></enc:EncryptedData></encryption>"
    )
    data = with_part(make_epub({"a.xhtml": "<p>Text</p>"}), "META-INF/encryption.xml", encryption)
    if reason:
        assert unreadable(data, "a.epub").reason == reason
    else:
        assert parse_document(data, "a.epub").text == "Text"


def test_an_entity_is_not_resolved() -> None:
    data = make_epub({"a.xhtml": "<p>before &e; after</p>"})
    declared = changed(
        data, "OEBPS/a.xhtml", "<!DOCTYPE html>", '<!DOCTYPE html [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    )
    assert "root" not in parse_document(declared, "a.epub").text
    bomb = with_part(data, PACKAGE, '<!DOCTYPE x [<!ENTITY e "needle">]><package>&e;</package>')
    assert "document type" in str(unreadable(bomb, "a.epub"))


def test_all_chapters_together_have_a_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_epub({"a.xhtml": "<p>a</p>" * 100, "b.xhtml": "<p>b</p>" * 100})
    monkeypatch.setattr(epub, "MAX_CHAPTER_BYTES", 1_000)
    assert unreadable(data, "a.epub").reason == "too_large"


def test_a_book_without_text_is_empty_and_one_without_a_package_is_corrupt() -> None:
    assert unreadable(make_epub({"a.xhtml": "<p> </p>"}), "a.epub").reason == "empty"
    assert unreadable(with_part(make_epub({"a.xhtml": "x"}), PACKAGE, None), "a.epub").reason == "corrupt"


def test_endless_nesting_is_harmless() -> None:
    deep = "<div>" * 20_000 + "needle" + "</div>" * 20_000
    assert parse_document(make_epub({"a.xhtml": deep}), "a").text == "needle"


def test_damage_gives_text_or_one_kind_of_error() -> None:
    data = make_epub(
        {"a.xhtml": "<h1>One</h1><table><tr><td>a</td><td>b</td></tr></table>", "b.xhtml": "<p>b</p>"}
    )
    for mutant in mutants(data):
        assert_text_or_unreadable(mutant)

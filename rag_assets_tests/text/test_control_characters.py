"""One spelling of control characters and undecodable bytes, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.disk.file_names import name_on_disk, shown_name, typed_name
from rag_assets.text.control_characters import one_line, quoted, unescaped


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=40))
def test_a_shown_name_can_be_typed(name: str) -> None:
    assert unescaped(one_line(name)) == name


@given(
    st.lists(
        st.binary().map(lambda name: name.replace(b"\0", b""))
        | st.sampled_from([b"%25", b"%E9", b"\xe9", b"%", b"%2", b"5E9", b"%%E9", b"%2525"])
    ).map(b"".join)
)
def test_a_shown_name_of_a_file_leads_back_to_it(name: bytes) -> None:
    on_disk = name.decode("utf-8", "surrogateescape")
    shown = shown_name(on_disk)
    shown.encode()  # valid Unicode
    assert name_on_disk(shown) == on_disk
    typed_name(on_disk).encode()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b.md", r"'a\u001b.md'"),
        ("caf\udcff.md", "'caf%FF.md'"),
        ("a\\b", r"'a\b'"),
        ("naïve", "'naïve'"),
    ],
)
def test_a_quoted_name_is_spelled_as_everywhere(name: str, shown: str) -> None:
    assert quoted(name) == shown

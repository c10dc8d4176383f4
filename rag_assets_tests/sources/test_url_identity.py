import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.sources.url_identity import UrlIdentity

AWS_2 = "AWSAccessKeyId=AKIA&Expires=1&Signature=x"
CLOUDFRONT = "Expires=1&Signature=x&Key-Pair-Id=K"
IDENTITY = UrlIdentity(["Nonce"], lambda: "key")


@pytest.mark.parametrize(
    ("query", "identity"),
    [
        ("a=1&X-Amz-Signature=x&x-goog-date=2", "?a=1"),
        (AWS_2, ""),
        (f"page=2&{CLOUDFRONT}", "?page=2"),
        ("sv=1&st=2&sig=x&id=7", "?id=7"),
        ("st=berlin&sp=3&expires=soon", "?st=berlin&sp=3&expires=soon"),
        ("nonce=1&b", "?b"),
        ("id=6ba7b811-9dad-11d1-80b4-00c04fd430c8&keyword=x&author=y", None),
        ("q=the+quick+brown+fox+jumps+over+the+lazy+dog", None),
        ("token=&key", None),
    ],
)
def test_signatures_are_left_out_and_other_parameters_stay(query: str, identity: str | None) -> None:
    expected = f"?{query}" if identity is None else identity
    assert IDENTITY.of(f"https://host/a?{query}#page=1") == f"https://host/a{expected}#page=1"


@pytest.mark.parametrize(
    "pair",
    [
        "token=abc",
        "key=HR-12",
        "api_key=x",
        "session_id=0123",
        "Authorization=Bearer",
        "x=eyJhbGci.eyJzdWIi.c2ln",
        "x=ghp_0123456789abcdef",
        "x=Ab1" + "x" * 30,
    ],
)
def test_what_looks_like_a_credential_is_hashed_with_a_key(pair: str) -> None:
    value = pair.partition("=")[2]
    found = IDENTITY.of(f"/a?{pair}")
    assert value not in found
    assert found.partition("=~")[2] != ""
    assert found != UrlIdentity((), lambda: "another key").of(f"/a?{pair}")
    assert found != IDENTITY.of(f"/a?{pair}2")


@given(st.text("ab1?&=#~/%-_.:tokensigv", max_size=40))
def test_the_identity_of_an_identity_is_itself(url: str) -> None:
    assert IDENTITY.of(IDENTITY.of(url)) == IDENTITY.of(url)

"""Particulars of S3: hostile keys, pages, changed or unreadable objects, credentials."""

import itertools
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources import s3
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.s3 import S3Options, S3Source
from rag_assets_tests.optional_packages import require

require("boto3", "moto", "flask", "flask_cors")
from rag_assets_tests.moto_server import (  # noqa: E402
    CREDENTIALS,
    MotoServer,
    answer_error,
    moto_server,
    use_credentials,
)

HOSTILE_KEYS = (
    "../../etc/passwd",
    "a/../b.md",
    "a/./b.md",
    "b.md",
    "/b.md",
    "//b.md",
    "a//b.md",
    "a/b.md",
    "line\rbreak.md",
    "line%0Dbreak.md",
    "line%250Dbreak.md",
    "bell\x07.md",
    "escape\x1b[31m.md",
    "tab\t.md",
    "100%.md",
    "a%20b.md",
    "a b.md",
    "a+b.md",
    "a&b=c?d#e.md",
    "größe/日本語/🦉.md",
    "cafe\u0301.md",
    "café.md",
    "<key>\"quoted'.md",
    "back\\slash.md",
    "no_ending",
    "x" * 1000 + ".md",
)


class Bucket:
    """A bucket for one test, and its source."""

    def __init__(self, server: MotoServer) -> None:
        self.server = server
        self.client = server.client("s3")
        self.name = server.new_bucket()

    def put(self, key: str, body: bytes = b"text", **options: Any) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **options)

    def source(self, **options: Any) -> S3Source:
        defaults = {"bucket": self.name, "endpoint_url": self.server.url, "timeout_seconds": 1}
        return S3Source("s3", S3Options(**{**defaults, **options}))

    def entry(self, key: str, **options: Any) -> tuple[S3Source, SourceEntry]:
        source = self.source(**options)
        (entry,) = [entry for entry in source.list_entries() if entry.path == key]
        return source, entry


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    use_credentials(monkeypatch)
    return Bucket(moto_server())


def keys(source: S3Source) -> list[str]:
    return [entry.path for entry in source.list_entries()]


def assert_says_no_secret(error: Exception) -> None:
    for secret in (CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], "of no use"):
        assert secret not in str(error)


# --- keys ------------------------------------------------------------------------------------------


def test_every_key_has_its_own_id_and_is_read_back(bucket: Bucket) -> None:
    for number, key in enumerate(HOSTILE_KEYS):
        bucket.put(key, f"text {number}".encode())
    source = bucket.source(page_size=7)
    entries = list(source.list_entries())
    assert sorted(source.read(entry).data for entry in entries) == sorted(
        f"text {number}".encode() for number in range(len(HOSTILE_KEYS))
    )
    for texts in (
        [e.document_id for e in entries],
        [e.uri for e in entries],
        [e.path for e in entries],
    ):
        assert len(set(texts)) == len(HOSTILE_KEYS)
        for text in texts:
            text.encode()
            assert not any(ord(character) < 32 or ord(character) == 127 for character in text)
    assert {"a/../b.md", "//b.md", "a%20b.md", "line%0Dbreak.md", "line%250Dbreak.md"} < {
        e.path for e in entries
    }


@given(
    st.lists(st.text() | st.sampled_from(["%25", "%0A", "\n", "\x00", "\x7f", "%", "%2", "5"])).map("".join)
)
def test_every_key_survives_its_escaping(key: str) -> None:
    escaped = s3._escape(key)
    assert not set(escaped) & {chr(number) for number in (*range(32), 127)}
    assert s3._unescape(escaped) == key


def test_unsupported_objects_are_not_listed(bucket: Bucket) -> None:
    for key in ("hr/", "hr_$folder$", "a.exe", "a.md~", "~$a.docx", ".DS_Store", ".git/HEAD", "hr/.a.md"):
        bucket.put(key)
    bucket.put("hr/a.md")
    bucket.put("hr/empty.md", b"")
    assert keys(bucket.source()) == ["hr/a.md", "hr/empty.md"]


def test_only_keys_with_the_prefix_are_listed_by_their_full_names(bucket: Bucket) -> None:
    for key in ("a.md", "hr/a.md", "hr2/a.md", ".wiki/a.md"):
        bucket.put(key)
    assert keys(bucket.source(prefix="hr/")) == ["hr/a.md"]
    assert keys(bucket.source(prefix="hr")) == ["hr/a.md", "hr2/a.md"]
    assert keys(bucket.source(prefix=".wiki/")) == [".wiki/a.md"]
    (entry,) = bucket.source(prefix="hr/").list_entries()
    assert entry.document_id == "s3:hr/a.md"
    assert entry.uri == f"s3://{bucket.name}/hr/a.md"


# --- listing ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_listing_of_many_pages_is_complete(bucket: Bucket) -> None:
    names = [f"{number:02}.md" for number in range(25)]
    for name in names:
        bucket.put(name)
    before = bucket.server.num_requests
    assert keys(bucket.source(page_size=2)) == names
    assert bucket.server.num_requests - before == 13
    assert keys(bucket.source()) == names


def test_an_empty_bucket_is_empty(bucket: Bucket) -> None:
    assert keys(bucket.source()) == []


@pytest.mark.slow
def test_an_overwritten_object_has_a_new_version_token(bucket: Bucket) -> None:
    bucket.put("a.md", b"one")
    before = bucket.entry("a.md")[1]
    assert bucket.entry("a.md")[1] == before
    bucket.put("a.md", b"two")
    assert bucket.entry("a.md")[1].version_token != before.version_token


def answers_of(body: str) -> Callable[..., Iterable[bytes]]:
    def answer(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body.encode()]

    return answer


@pytest.mark.parametrize(
    "body",
    [
        "<html><body><form>Please log in.</form></body></html>",
        "<html><br>Please log in",
        "",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<Result><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken></Result>",
    ],
    ids=["a page", "a sloppy page", "nothing", "no next page", "the same page for ever"],
)
def test_an_incomplete_listing_does_not_look_like_an_empty_bucket(bucket: Bucket, body: str) -> None:
    with (
        bucket.server.answering(answers_of(body)),
        pytest.raises(SourceUnavailable, match="cannot be listed"),
    ):
        list(bucket.source().list_entries())


@pytest.mark.parametrize(
    "contradiction",
    [
        "<IsTruncated>false</IsTruncated><KeyCount>5</KeyCount>",
        "<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount><NextContinuationToken>b</NextContinuationToken>",
    ],
    ids=["more keys than listed", "a token for a next page"],
)
def test_a_listing_that_contradicts_itself_is_incomplete(bucket: Bucket, contradiction: str) -> None:
    item = "<Contents><Key>a.md</Key><Size>1</Size><ETag>x</ETag></Contents>"
    listed: list[str] = []
    with (
        bucket.server.answering(answers_of(f"<Result>{item}{contradiction}</Result>")),
        pytest.raises(SourceUnavailable, match="contradicts itself"),
    ):
        listed.extend(entry.path for entry in bucket.source().list_entries())
    assert listed == ["a.md"]


def test_a_listing_in_a_circle_ends(bucket: Bucket) -> None:
    tokens = itertools.cycle("ab")

    def answer(request: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{next(tokens)}</NextContinuationToken>"
        return answers_of(f"<Result>{more}</Result>")(request, start_response)

    with bucket.server.answering(answer), pytest.raises(SourceUnavailable, match="in a circle"):
        list(bucket.source().list_entries())


def test_a_missing_bucket_does_not_look_empty(bucket: Bucket) -> None:
    with pytest.raises(SourceUnavailable, match=r"no-such-bucket.*NoSuchBucket.*endpoint_url"):
        list(bucket.source(bucket="no-such-bucket").list_entries())


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        ("403 Forbidden", "AccessDenied", "s3:ListBucket"),
        ("400 Bad Request", "ExpiredToken", "Renew"),
        ("403 Forbidden", "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("403 Forbidden", "SignatureDoesNotMatch", "secret key"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", "region"),
        ("503 Service Unavailable", "SlowDown", "tries again"),
        ("500 Internal Server Error", "<b>&x", "tries again"),
    ],
)
def test_a_refused_listing_is_reported_with_advice(
    bucket: Bucket, status: str, code: str, advice: str
) -> None:
    with (
        bucket.server.answering(lambda _, start: answer_error(start, status, code)),
        pytest.raises(SourceUnavailable, match=advice) as caught,
    ):
        list(bucket.source().list_entries())
    assert_says_no_secret(caught.value)


def test_without_credentials_the_error_has_advice(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(SourceUnavailable, match=r"NoCredentialsError.*AWS_ACCESS_KEY_ID"):
        list(bucket.source().list_entries())
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SourceUnavailable, match="AWS_PROFILE names a profile that does not exist"):
        list(bucket.source().list_entries())


def test_the_address_may_come_from_the_environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("a.md")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.server.url)
    assert keys(bucket.source(endpoint_url=None)) == ["a.md"]


# --- reading ---------------------------------------------------------------------------------------


def test_an_object_replaced_after_the_listing_is_read_in_its_new_version(bucket: Bucket) -> None:
    bucket.put("a.md", b"one")
    source, entry = bucket.entry("a.md")
    bucket.put("a.md", b"another")
    reading = source.read(entry)
    assert (reading.data, reading.is_settled) == (b"another", True)
    # The token of the listing stays: the next one differs, and the object is read once more.
    assert reading.version_token in ("", entry.version_token)


def test_an_object_listed_and_then_missing_is_unreadable(bucket: Bucket) -> None:
    bucket.put("a.md")
    source, entry = bucket.entry("a.md")
    bucket.client.delete_object(Bucket=bucket.name, Key="a.md")
    with pytest.raises(DocumentUnreadable, match="next refresh") as caught:
        source.read(entry)
    assert not isinstance(caught.value, DocumentGone)


def test_a_deleted_bucket_is_an_outage_of_the_source(bucket: Bucket) -> None:
    bucket.put("a.md")
    source, entry = bucket.entry("a.md")
    bucket.client.delete_object(Bucket=bucket.name, Key="a.md")
    bucket.client.delete_bucket(Bucket=bucket.name)
    with pytest.raises(SourceUnavailable, match="NoSuchBucket"):
        source.read(entry)


def test_an_object_over_the_limit_is_listed_but_not_requested(bucket: Bucket) -> None:
    bucket.put("big.md", b"x" * 11)
    bucket.put("fits.md", b"x" * 10)
    source, big = bucket.entry("big.md", max_bytes=10)
    before = bucket.server.num_requests
    with pytest.raises(DocumentUnreadable) as caught:
        source.read(big)
    assert caught.value.reason == "too_large"
    assert bucket.server.num_requests == before
    source, fits = bucket.entry("fits.md", max_bytes=10)
    assert source.read(fits).data == b"x" * 10


def test_an_archived_object_is_unreadable_and_the_others_are_read(bucket: Bucket) -> None:
    bucket.put("cold.md", StorageClass="GLACIER")
    bucket.put("warm.md")
    source, cold = bucket.entry("cold.md")
    with pytest.raises(DocumentUnreadable, match="archived"):
        source.read(cold)
    source, warm = bucket.entry("warm.md")
    assert source.read(warm).data == b"text"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("403 Forbidden", "AccessDenied", DocumentUnreadable),
        ("400 Bad Request", "KMS.DisabledException", DocumentUnreadable),
        ("404 Not Found", "SomethingElse", DocumentUnreadable),
        ("403 Forbidden", "InvalidAccessKeyId", SourceUnavailable),
        ("400 Bad Request", "ExpiredToken", SourceUnavailable),
        ("429 Too Many Requests", "TooManyRequests", SourceUnavailable),
        ("503 Service Unavailable", "SlowDown", SourceUnavailable),
        ("500 Internal Server Error", "InternalError", SourceUnavailable),
    ],
)
def test_errors_of_one_object_differ_from_outages(
    bucket: Bucket, status: str, code: str, expected: type[Exception]
) -> None:
    bucket.put("a.md")
    source, entry = bucket.entry("a.md")
    with (
        bucket.server.answering(lambda _, start: answer_error(start, status, code)),
        pytest.raises(expected) as caught,
    ):
        source.read(entry)
    assert not isinstance(caught.value, DocumentGone)
    assert_says_no_secret(caught.value)


def test_a_cut_off_object_is_an_error(bucket: Bucket) -> None:
    bucket.put("a.md")
    source, entry = bucket.entry("a.md")

    def torn(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"te"]

    with bucket.server.answering(torn), pytest.raises(SourceUnavailable):
        source.read(entry)


def test_an_object_arriving_byte_by_byte_is_given_up(bucket: Bucket) -> None:
    bucket.put("a.md")
    source, entry = bucket.entry("a.md", timeout_seconds=0.5)
    over = threading.Event()

    def drip(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "1000")])
        while not over.wait(0.1):
            yield b"x"

    # `answering` wants an answer or None: the start of a generator is one.
    with bucket.server.answering(drip):
        try:
            with pytest.raises(SourceUnavailable, match="too slowly"):
                source.read(entry)
        finally:
            over.set()


def test_many_threads_read_through_one_source(bucket: Bucket) -> None:
    for number in range(24):
        bucket.put(f"{number:02}.md", f"text {number}".encode())
    source = bucket.source()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(source.parallel_reads) as threads:
        data = [reading.data for reading in threads.map(source.read, source.list_entries())]
    assert data == [f"text {number}".encode() for number in range(24)]


# --- options ---------------------------------------------------------------------------------------


def test_it_is_declared_by_variables(bucket: Bucket) -> None:
    bucket.put("hr/a.md")
    environment = {
        "RAG_S3_BUCKET": bucket.name,
        "RAG_S3_PREFIX": "hr/",
        "RAG_S3_ENDPOINT_URL": bucket.server.url,
    }
    (source,) = build_sources(["s3"], None, environment)
    assert [entry.document_id for entry in source.list_entries()] == ["s3:hr/a.md"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"RAG_S3_BUCKET": "s3://bucket"},
        {"RAG_S3_BUCKET": "b", "RAG_S3_ENDPOINT_URL": "https://user:topsecret@host"},
        {"RAG_S3_BUCKET": "b", "RAG_S3_QUEUE_URL": "arn:aws:sqs:topsecret"},
        {"RAG_S3_BUCKET": "b", "RAG_S3_PAGE_SIZE": "0"},
    ],
)
def test_invalid_options_are_refused_without_their_values(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="RAG_S3_") as caught:
        build_sources(["s3"], None, options)
    assert "topsecret" not in str(caught.value)


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r"pip install -e '.\[s3\]'"):
        S3Source("s3", S3Options(bucket="documents"))

"""Metadata of objects of S3: headers, which come with the object, and tags, which need a request of their own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.ingestion.listings import hash_listings
from rag_assets.sources.s3 import S3Options, S3Source
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.small_refresh import SmallRefresh

require("boto3", "moto", "flask", "flask_cors")
from rag_assets_tests.moto_server import MotoServer, answer_error, moto_server, use_credentials  # noqa: E402

TAGS = {"status": "final", "team": "HR law"}


class Bucket:
    """A bucket with one object, and its source."""

    def __init__(self, server: MotoServer) -> None:
        self.server = server
        self.client = server.client("s3")
        self.name = server.new_bucket()

    def put(self, **options: Any) -> None:
        self.client.put_object(Bucket=self.name, Key="a.md", Body=b"text", **options)

    def replace_metadata(self, metadata: Mapping[str, str]) -> None:
        """Upload the same bytes with other metadata, a second later: AWS and moto count whole seconds."""
        self.put(Metadata=metadata)
        self.server.age(self.name, "a.md", -1)

    def tag(self, tags: Mapping[str, str]) -> None:
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.client.put_object_tagging(Bucket=self.name, Key="a.md", Tagging={"TagSet": tag_set})

    def source(self, **options: Any) -> S3Source:
        return S3Source(
            "s3", S3Options(bucket=self.name, endpoint_url=self.server.url, timeout_seconds=5, **options)
        )

    def metadata(self, **options: Any) -> dict[str, Any]:
        source = self.source(**options)
        (entry,) = source.list_entries()
        return dict(source.read(entry).metadata)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    use_credentials(monkeypatch)
    bucket = Bucket(moto_server())
    bucket.put(Metadata={"Doc-Type": "policy", "year": "2024"}, ContentLanguage="de, en")
    yield bucket
    bucket.server.instead = None


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def served(refresh: SmallRefresh) -> dict[str, Any]:
    (state,) = refresh.production.values()
    return dict(state.location.metadata)


def with_headers(bucket: Bucket, *headers: tuple[str, str]) -> None:
    """Let the server add headers to every object."""

    def instead(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        if not environ["PATH_INFO"].endswith(".md"):
            return None
        return bucket.server._moto(environ, lambda status, found, *rest: start(status, [*found, *headers]))

    bucket.server.instead = instead


def test_user_metadata_and_language_come_with_the_object(bucket: Bucket) -> None:
    before = bucket.server.num_requests
    assert bucket.metadata() == {"doc_type": "policy", "year": "2024", "language": ("de", "en")}
    assert bucket.server.num_requests - before == 2, "one to list, one to read"


def test_an_object_without_metadata_has_none(bucket: Bucket) -> None:
    bucket.put()
    assert bucket.metadata() == {}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= 2", "Grüße 2"),
        ("=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=", "ÄMÄZÕÑ S3"),
        ("Größe".encode().decode("latin-1"), "Größe"),
        ("Größe", "Größe"),
        ("=?no-such-charset?B?R3I=?=", "=?no-such-charset?B?R3I=?="),
        ("=?UTF-8?B?!?=", "=?UTF-8?B?!?="),
        ("a=?b", "a=?b"),
    ],
)
def test_headers_of_any_coding_are_read(bucket: Bucket, header: str, expected: str) -> None:
    with_headers(bucket, ("x-amz-meta-name", header))
    assert bucket.metadata()["name"] == expected


def test_fields_missing_in_the_answer_are_counted(bucket: Bucket) -> None:
    with_headers(bucket, ("x-amz-missing-meta", "2"))
    source = bucket.source()
    (entry,) = source.list_entries()
    assert source.read(entry).metadata.left_out == ("not usable: fields_missing_in_the_answer_of_s3",)


def test_hostile_headers_and_secrets_harm_nothing(bucket: Bucket) -> None:
    with_headers(
        bucket,
        *((f"x-amz-meta-k{number}", "x" * 1000) for number in range(60)),
        ("x-amz-meta-link", "https://bucket/a.pdf?X-Amz-Signature=0123456789abcdef"),
        ("x-amz-meta-", "no name"),
    )
    source = bucket.source()
    (entry,) = source.list_entries()
    metadata = source.read(entry).metadata
    assert metadata.pairs
    assert len(str(metadata.to_json())) < 5000
    assert "0123456789abcdef" not in str(metadata.to_json())


def test_changed_user_metadata_is_a_change_without_a_parse(bucket: Bucket, refresh: SmallRefresh) -> None:
    refresh(bucket.source())
    bucket.replace_metadata({"year": "2025"})
    outcome = refresh(bucket.source())
    assert served(refresh) == {"year": "2025"}
    assert dict(outcome.changes) == {"a.md": "updated"}
    assert outcome.num_parsed == 0


def test_tags_are_read_only_with_their_option(bucket: Bucket) -> None:
    bucket.tag(TAGS)
    assert "status" not in bucket.metadata()
    assert bucket.metadata(read_tags=True) == {
        "doc_type": "policy",
        "year": "2024",
        "language": ("de", "en"),
        **TAGS,
    }


def test_a_tag_wins_over_user_metadata(bucket: Bucket) -> None:
    bucket.tag({"year": "2026"})
    assert bucket.metadata(read_tags=True)["year"] == "2026"


def test_a_changed_tag_is_seen_by_the_next_refresh(bucket: Bucket, refresh: SmallRefresh) -> None:
    source = bucket.source(read_tags=True)
    refresh(source)
    assert served(refresh)["year"] == "2024"
    bucket.tag(TAGS)
    outcome = refresh(source)
    assert served(refresh)["status"] == "final"
    assert (dict(outcome.changes), outcome.num_parsed) == ({"a.md": "updated"}, 0)
    bucket.client.delete_object_tagging(Bucket=bucket.name, Key="a.md")
    refresh(source)
    assert "status" not in served(refresh)


def test_unchanged_tags_transfer_nothing(bucket: Bucket, refresh: SmallRefresh) -> None:
    source = bucket.source(read_tags=True)
    bucket.tag(TAGS)
    refresh(source)
    bodies, requests = bucket.server.num_bodies[bucket.name], bucket.server.num_requests
    assert not refresh(source).changes
    assert bucket.server.num_bodies[bucket.name] - bodies == 1, "the tags, counted as a body"
    assert bucket.server.num_requests - requests == 2, "one to list, one for the tags"


def test_the_option_may_be_turned_on_and_off(bucket: Bucket, refresh: SmallRefresh) -> None:
    bucket.tag(TAGS)
    for read_tags in (False, True, False):
        outcome = refresh(bucket.source(read_tags=read_tags))
        assert ("status" in served(refresh)) is read_tags
        assert outcome.num_parsed == 0 or not read_tags


def test_a_sensor_sees_new_objects_without_asking_for_tags(bucket: Bucket) -> None:
    source = bucket.source(read_tags=True)
    before = bucket.server.num_requests
    first, _ = hash_listings([source], 10.0)
    assert hash_listings([source], 10.0) == (first, {})
    bucket.client.put_object(Bucket=bucket.name, Key="a.md", Body=b"longer text")
    assert hash_listings([source], 10.0)[0] != first
    assert bucket.server.num_requests - before == 4, "three listings, and the upload"


def refusing_tags(bucket: Bucket, status: str, code: str) -> None:
    bucket.server.instead = lambda environ, start: (
        answer_error(start, status, code) if environ["QUERY_STRING"].startswith("tagging") else None
    )


@pytest.mark.parametrize(
    ("status", "code", "expected", "words"),
    [
        ("403 Forbidden", "AccessDenied", DocumentUnreadable, "s3:GetObjectTagging"),
        ("404 Not Found", "NoSuchKey", DocumentUnreadable, "next refresh"),
        ("501 Not Implemented", "NotImplemented", SourceUnavailable, "does not offer"),
        ("500 Internal Server Error", "InternalError", SourceUnavailable, "tries again"),
    ],
)
def test_unreadable_tags_are_no_missing_tags(
    bucket: Bucket, status: str, code: str, expected: type[Exception], words: str
) -> None:
    source = bucket.source(read_tags=True)
    (entry,) = source.list_entries()
    refusing_tags(bucket, status, code)
    with pytest.raises(expected, match=words):
        source.read(entry)


def test_with_unreadable_tags_the_last_good_version_stays(bucket: Bucket, refresh: SmallRefresh) -> None:
    bucket.tag(TAGS)
    source = bucket.source(read_tags=True)
    refresh(source)
    refusing_tags(bucket, "403 Forbidden", "AccessDenied")
    refresh(source)
    assert served(refresh)["status"] == "final"


def test_an_object_without_tags_on_any_service(bucket: Bucket) -> None:
    refusing_tags(bucket, "404 Not Found", "NoSuchTagSet")
    assert bucket.metadata(read_tags=True)["year"] == "2024"


def test_an_answer_without_tags_is_no_answer(bucket: Bucket) -> None:
    source = bucket.source(read_tags=True)
    (entry,) = source.list_entries()

    def instead(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes] | None:
        start("200 OK", [("Content-Type", "text/html")])
        return [b"<html><p>Please log in</p></html>"]

    with bucket.server.answering(instead), pytest.raises(SourceUnavailable, match="endpoint_url"):
        source.read(entry)

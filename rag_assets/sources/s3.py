"""Objects in a bucket of S3, or of a compatible service (MinIO, LocalStack, R2 …).

An object is read in exactly the listed version, with its metadata. Nothing is written to disk.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.util import find_spec
from threading import Lock
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from rag_assets.aws.client import AS_BY_ANY_TOOL, AwsAccess, build_client
from rag_assets.aws.errors import (
    READING_A_BUCKET,
    aws_errors,
    code_of,
    concerns_all,
    in_words,
    is_lasting,
)
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    is_ignored,
    missing_error,
    missing_package_error,
    too_large_error,
)
from rag_assets.sources.file_selection import FileOptions, FileSelection
from rag_assets.sources.s3_metadata import metadata_of
from rag_assets.sources.times import iso_utc

_WEB_ADDRESS = r"^https?://[^@\s/]+(/[^@\s]*)?$"  # without a user and a password
_PIECE_BYTES = 256 * 1024
_SLOWEST_BYTES_PER_SECOND = 100_000
_WITH_METADATA = "m1"
"""Part of every version token: objects read by a version without metadata are read once more."""
# Keys may hold any character, and ids are shown on terminals: control characters become %0A. A percent sign that looks
# like one of them is escaped too, so that no two keys get the same id.
_NEEDS_ESCAPE = re.compile("[\x00-\x1f\x7f]|%(?=[01][0-9A-F]|7F|25)")
_ESCAPE = re.compile("%([01][0-9A-F]|7F|25)")


class S3Options(RemoteSourceOptions, FileOptions):
    """The bucket, and the objects in it. Credentials are not options: they are found as by any AWS tool."""

    bucket: str = Field(pattern=r"^[A-Za-z0-9._-]{1,255}$", description="Bucket with the documents.")
    prefix: str = Field("", description="Prefix of the keys to read, for example `handbook/`.")
    endpoint_url: str | None = Field(
        None,
        pattern=_WEB_ADDRESS,
        description="Address of a service other than AWS, for example a MinIO server. Empty: AWS_ENDPOINT_URL, or "
        "AWS.",
    )
    region: str | None = Field(
        None, description="Region of the bucket, if it differs from the AWS configuration."
    )
    queue_url: str | None = Field(
        None,
        pattern=_WEB_ADDRESS,
        description="SQS queue with the event notifications of the bucket, for this source only.",
    )
    read_tags: bool = Field(
        False,
        description="Whether to read the tags of objects as metadata, with one request per object and refresh.",
    )
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger objects are quarantined.")
    page_size: int = Field(1000, ge=1, le=1000, description="Objects per request in a listing.")


class S3Source:
    """The objects of a bucket, identified by their keys.

    Hidden files, leftovers of editors and placeholders for folders are left out.
    """

    Options: ClassVar[type[SourceOptions]] = S3Options
    parallel_reads = 8
    watched_as: Literal["folder", "bucket"] = "bucket"

    def __init__(self, name: str, options: S3Options) -> None:
        if find_spec("boto3") is None:
            raise missing_package_error(name, "boto3", "s3")
        self.name = name
        self.options = options
        self._selection = FileSelection(options)
        self.aws_access = AS_BY_ANY_TOOL
        self._made_client: Any = None
        self._lock = Lock()
        self._listed_tokens: dict[str, str] = {}

    def use_aws(self, access: AwsAccess) -> None:
        """See `UsesAws`."""
        self.aws_access = access

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per document, in the order of the service.

        Raises:
            SourceUnavailable: a page of the listing is missing, or invalid.
        """
        self._selection.clear()
        self._listed_tokens = {}
        continuation: dict[str, str] = {}
        tokens: set[str] = set()
        while True:
            page = self._list_page(continuation)
            for item in page.get("Contents", ()):
                if self._is_visible(item["Key"]) and self._selection.takes(_escape(item["Key"])):
                    yield self._entry(item)
            token = page.get("NextContinuationToken")
            if page.get("KeyCount", 0) > len(page.get("Contents", ())) or bool(token) != page["IsTruncated"]:
                raise self._unavailable(
                    "cannot be listed", "the listing contradicts itself about its end. Check `endpoint_url`."
                )
            if not token:
                return
            if token in tokens:
                raise self._unavailable("cannot be listed", "it lists in a circle. Check `endpoint_url`.")
            tokens.add(token)
            continuation = {"ContinuationToken": token}

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one document, in exactly the listed version.

        Returns:
            None if tags are read, and neither the object nor its tags have changed. New tags change nothing in a
            listing.

        Raises:
            DocumentUnreadable: `too_large`, or `unreadable`: forbidden, archived, missing or changed since the listing.
            SourceUnavailable: the service does not answer, or not in time.
        """
        self._require_size(entry.size_bytes)
        listed_token = entry.version_token or self._listed_tokens.get(entry.path, "")
        try:
            tags = self._tags(entry) if self.options.read_tags else {}
            token = _token_with_tags(listed_token, tags) if self.options.read_tags and listed_token else ""
            if token and token == known_token:
                return None
            etag = _etag_in(listed_token)
            try:
                return self._get(entry, tags, token, {"IfMatch": f'"{etag}"'} if etag else {})
            except aws_errors() as error:
                if code_of(error) != "PreconditionFailed":
                    raise
                # Replaced after the listing: an object is always whole. The next refresh reads it once more.
                return self._get(entry, tags, token, {})
        except aws_errors() as error:
            code = code_of(error)
            if code == "NoSuchKey":
                raise missing_error() from None
            if concerns_all(error):
                raise self._unavailable(
                    "cannot be read", in_words(error, READING_A_BUCKET), lasting=is_lasting(error)
                ) from None
            raise DocumentUnreadable("unreadable", _why_unreadable(code)) from None

    def _get(
        self, entry: SourceEntry, tags: Mapping[str, str], token: str, only_if: dict[str, str]
    ) -> Reading:
        answer = self._client().get_object(Bucket=self.options.bucket, Key=_unescape(entry.path), **only_if)
        return Reading(self._body(answer), version_token=token, metadata=metadata_of(answer, tags))

    def _tags(self, entry: SourceEntry) -> dict[str, str]:
        try:
            answer = self._client().get_object_tagging(Bucket=self.options.bucket, Key=_unescape(entry.path))
        except aws_errors() as error:
            if code_of(error) == "NoSuchTagSet":
                return {}
            if code_of(error) != "AccessDenied":
                raise
            raise DocumentUnreadable(
                "unreadable",
                "Its tags cannot be read: access denied. Allow s3:GetObjectTagging, or set `read_tags` to false.",
            ) from None
        if "TagSet" not in answer:
            raise self._unavailable("cannot be read", "the answer holds no tags. Check `endpoint_url`.")
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    @property
    def left_out(self) -> Mapping[str, int]:
        """See `CountsLeftOut`."""
        return self._selection.left_out

    def counts(self, key: str) -> bool:
        """Return whether an object with this key is a document of this source."""
        return self._is_visible(key) and self._selection.fits(_escape(key))

    def _is_visible(self, key: str) -> bool:
        folders, _, name = key.removeprefix(self.options.prefix).rpartition("/")
        return (
            key.startswith(self.options.prefix)
            and not key.endswith(("/", "_$folder$"))
            # `.` and `..` have no meaning here, they are ordinary names.
            and not any(part.strip(".") and is_ignored(part) for part in (*folders.split("/"), name))
        )

    def _list_page(self, continuation: dict[str, str]) -> dict[str, Any]:
        try:
            page: dict[str, Any] = self._client().list_objects_v2(
                Bucket=self.options.bucket,
                Prefix=self.options.prefix,
                MaxKeys=self.options.page_size,
                **continuation,
            )
        except aws_errors() as error:
            raise self._unavailable(
                "cannot be listed", in_words(error, READING_A_BUCKET), lasting=is_lasting(error)
            ) from None
        if "IsTruncated" not in page:
            # For example the error page of a proxy. Without this check it would look like an empty bucket.
            raise self._unavailable("cannot be listed", "the answer is not a listing. Check `endpoint_url`.")
        return page

    def _client(self) -> Any:
        with self._lock:
            if self._made_client is None:
                self._made_client = build_client(
                    "s3",
                    endpoint_url=self.options.endpoint_url,
                    region=self.options.region,
                    timeout_seconds=self.options.timeout_seconds,
                    connections=self.parallel_reads,
                    access=self.aws_access,
                )
            return self._made_client

    def _body(self, answer: dict[str, Any]) -> bytes:
        size = answer.get("ContentLength")
        self._require_size(size or 0)
        # With the timeout alone an object could arrive byte by byte for ever.
        deadline = time.monotonic() + self.options.timeout_seconds + (size or 0) / _SLOWEST_BYTES_PER_SECOND
        data = bytearray()
        with answer["Body"] as stream:
            while piece := stream.read1(_PIECE_BYTES):
                data += piece
                self._require_size(len(data))
                if time.monotonic() > deadline:
                    raise self._unavailable("cannot be read", f"an object arrives too slowly. {_TRY_AGAIN}")
        if size is not None and len(data) != size:
            raise self._unavailable("cannot be read", f"an object was cut off. {_TRY_AGAIN}")
        return bytes(data)

    def _require_size(self, size: int) -> None:
        limit = self.options.max_bytes
        if size > limit:
            raise too_large_error(size, limit)

    def _entry(self, item: dict[str, Any]) -> SourceEntry:
        path = _escape(item["Key"])
        modified: datetime | None = item.get("LastModified")
        etag = str(item.get("ETag", "")).strip('"')
        token = f"{item['Size']}-{modified.timestamp() if modified else 0:.3f}-{etag} {_WITH_METADATA}"
        if self.options.read_tags:
            self._listed_tokens[path] = token
        return SourceEntry(
            document_id=f"{self.name}:{path}",
            source=self.name,
            uri=f"s3://{self.options.bucket}/{path}",
            path=path,
            filename=path.rpartition("/")[2],
            # Only `read` asks for the tags: the sensors list too, every minute.
            version_token="" if self.options.read_tags else token,
            size_bytes=item["Size"],
            modified_at=iso_utc(modified),
        )

    def _unavailable(self, what: str, why: str, *, lasting: bool = False) -> SourceUnavailable:
        host = f" at {urlsplit(self.options.endpoint_url).netloc}" if self.options.endpoint_url else ""
        return SourceUnavailable(
            f"source {self.name}: bucket {self.options.bucket}{host} {what}: {why}", lasting=lasting
        )


_TRY_AGAIN = "The next refresh tries again."
_WHY_UNREADABLE = {
    "InvalidObjectState": "It is archived. Restore it, or exclude it by `prefix`.",
    "AccessDenied": "Access denied. Allow s3:GetObject, and kms:Decrypt for an object encrypted with a key.",
}


def _etag_in(token: str) -> str:
    return token.rpartition(" ")[0].partition("-")[2].partition("-")[2]


def _token_with_tags(token: str, tags: Mapping[str, str]) -> str:
    tags_hash = hashlib.sha256(json.dumps(sorted(tags.items())).encode()).hexdigest()[:16]
    return f"{token} {tags_hash}"


def _why_unreadable(code: str) -> str:
    return _WHY_UNREADABLE.get(code, f"The service refused it ({code}).")


def _escape(key: str) -> str:
    return _NEEDS_ESCAPE.sub(lambda match: f"%{ord(match[0]):02X}", key)


def _unescape(path: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), path)

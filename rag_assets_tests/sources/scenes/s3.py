"""A bucket on a server of moto."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.base import Failure


class S3Scene:
    """Counts GET requests answered with the content of an object."""

    kind = "s3"
    keys = ("team", "year")
    failures: tuple[Failure, ...] = ("refused", "forbidden", "error", "hang", "torn listing")

    def __init__(self, folder: Path) -> None:
        require("boto3", "moto", "flask", "flask_cors")
        from rag_assets_tests.moto_server import moto_server, use_credentials

        self._patch = pytest.MonkeyPatch()
        use_credentials(self._patch)
        self.server = moto_server()
        self._bucket = self.server.new_bucket()
        self._num_described = 0
        self._client = self.server.client("s3")

    @property
    def num_bodies(self) -> int:
        return self.server.num_bodies[self._bucket]

    def declaration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "bucket": self._bucket,
            "prefix": "wiki/",
            "endpoint_url": self.server.url,
            "timeout_seconds": 1,
            "page_size": 2,
        }

    def put(self, name: str, text: str) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"wiki/{name}.txt", Body=text.encode())

    def describe(self, name: str, word: str, number: int) -> None:
        key = f"wiki/{name}.txt"
        body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        metadata = {"Team": word, "year": str(number)}
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata=metadata)
        # The same bytes within a second would be the same version: AWS and moto count whole seconds.
        self._num_described += 1
        self.server.age(self._bucket, key, -self._num_described)

    def remove(self, name: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=f"wiki/{name}.txt")

    def failing(self, how: Failure) -> AbstractContextManager[None]:
        return self.server.failing(how)

    def close(self) -> None:
        self._patch.undo()

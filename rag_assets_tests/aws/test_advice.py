"""The advice after a refusal of AWS is about the service that refused, for every use of AWS."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from rag_assets.aws.secrets import AwsSecret
from rag_assets.errors import RagAssetsError
from rag_assets.operations.backup.places import backup_place
from rag_assets.sources.s3 import S3Options, S3Source
from rag_assets.sources.s3_events import EventQueue
from rag_assets_tests.moto_server import CREDENTIALS, MotoServer, answer_error, moto_server, use_credentials


def read_bucket() -> None:
    list(S3Source("docs", S3Options(bucket="documents")).list_entries())


def read_queue() -> None:
    EventQueue(
        f"{moto_server().url}/123456789012/events", [S3Source("docs", S3Options(bucket="documents"))]
    ).receive()


def read_backup() -> None:
    with backup_place("s3://documents/kb") as place:
        place.names()


def read_secret() -> None:
    AwsSecret("OPENAI_API_KEY_AWS_SECRET", "prod/openai").fetch()


def read_parameter() -> None:
    AwsSecret("OPENAI_API_KEY_AWS_PARAMETER", "/prod/openai").fetch()


USES: dict[Callable[[], None], str] = {
    read_bucket: "s3",
    read_queue: "sqs",
    read_backup: "s3",
    read_secret: "secretsmanager",
    read_parameter: "ssm",
}
PERMISSION = re.compile(r"\b(s3|sqs|secretsmanager|ssm|sts):[A-Z]")
OPTIONS_OF_SOURCES = ("`bucket`", "`region`", "`endpoint_url`", "`queue_url`")
REFUSALS = [
    ("401 Unauthorized", "Unauthorized"),
    ("403 Forbidden", "Forbidden"),
    ("403 Forbidden", "AccessDenied"),
    ("400 Bad Request", "AccessDeniedException"),
    ("404 Not Found", "NotFound"),
    ("403 Forbidden", "InvalidClientTokenId"),
    ("400 Bad Request", "UnrecognizedClientException"),
    ("400 Bad Request", "AuthorizationHeaderMalformed"),
    ("503 Service Unavailable", "SlowDown"),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> MotoServer:
    use_credentials(monkeypatch)
    server = moto_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    return server


def said_by(use: Callable[[], None]) -> str:
    with pytest.raises(RagAssetsError) as caught:
        use()
    return str(caught.value)


def refusing(status: str, code: str) -> Callable[..., Iterable[bytes]]:
    """Refuse in the language of the request, XML or JSON."""

    def refuse(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if "json" not in environ.get("CONTENT_TYPE", ""):
            return answer_error(start, status, code)
        start(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps({"__type": code, "message": "of no use"}).encode()]

    return refuse


@pytest.mark.parametrize(("status", "code"), REFUSALS)
@pytest.mark.parametrize("use", USES)
def test_advice_belongs_to_the_service_that_refused(
    use: Callable[[], None], status: str, code: str, server: MotoServer
) -> None:
    with server.answering(refusing(status, code)):
        said = said_by(use)
    assert set(PERMISSION.findall(said)) <= {USES[use]}, said
    if code in ("Forbidden", "AccessDenied", "AccessDeniedException"):
        assert USES[use] in PERMISSION.findall(said), said
    if code in ("Unauthorized", "InvalidClientTokenId", "UnrecognizedClientException"):
        assert "AWS_ACCESS_KEY_ID" in said
    if use not in (read_bucket, read_queue):
        assert not any(option in said for option in OPTIONS_OF_SOURCES), said


@pytest.mark.parametrize("use", USES)
def test_a_refused_role_is_no_fault_of_the_service_behind_it(
    use: Callable[[], None], server: MotoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile reader]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n"
        f"[profile base]\naws_access_key_id = {CREDENTIALS['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {CREDENTIALS['AWS_SECRET_ACCESS_KEY']}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "reader")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with server.answering(refusing("403 Forbidden", "AccessDenied")):
        said = said_by(use)
    assert PERMISSION.findall(said) == ["sts"], said

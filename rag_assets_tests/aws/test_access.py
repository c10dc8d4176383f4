"""One access to AWS for runs, sensors and commands: dagster-aws's `S3Resource` in Dagster, the same values outside."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from rag_assets.aws.client import AwsAccess, build_client
from rag_assets.definitions import build_definitions
from rag_assets.defs.aws import KnowledgeBaseOnAws, knowledge_base_on_aws
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets.sources.s3 import S3Source
from rag_assets.sources.s3_events import event_queues
from rag_assets_tests.moto_server import moto_server, use_credentials


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    use_credentials(monkeypatch)
    server = moto_server()
    name = server.new_bucket()
    server.client("s3").put_object(Bucket=name, Key="one.md", Body=b"# One\n\ntext")
    monkeypatch.setenv("RAG_SOURCES", "s3")
    monkeypatch.setenv("RAG_S3_BUCKET", name)
    monkeypatch.setenv("RAG_STATE_DIR", str(tmp_path / "state"))
    return name


def s3_source(knowledge_base: KnowledgeBase) -> S3Source:
    (source,) = knowledge_base.sources()
    assert isinstance(source, S3Source)
    return source


def opened(resource: KnowledgeBaseOnAws) -> KnowledgeBase:
    with dg.build_resources({"knowledge_base": resource}) as resources:
        return resources.knowledge_base


def described(client: Any) -> dict[str, Any]:
    config = client.meta.config
    return {
        "endpoint": client.meta.endpoint_url,
        "region": client.meta.region_name,
        "timeouts": (config.connect_timeout, config.read_timeout),
        "retries": config.retries,
        "connections": config.max_pool_connections,
        "checksums": config.response_checksum_validation,
        "signature": config.signature_version,
        "key": client._request_signer._credentials.access_key,
    }


def test_every_field_of_dagsters_resource_is_used() -> None:
    assert {one.name for one in fields(AwsAccess)} == set(S3Resource.model_fields)


def test_runs_and_commands_have_equal_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto_server().url)
    of_command = s3_source(KnowledgeBase(load_settings()))
    of_run = s3_source(opened(knowledge_base_on_aws()))
    assert described(of_run._client()) == described(of_command._client())
    assert [entry.path for entry in of_run.list_entries()] == ["one.md"]


def test_the_resource_chooses_profile_endpoint_and_region(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: str
) -> None:
    file = tmp_path / "config"
    file.write_text(
        "[profile readers]\naws_access_key_id = AKIAEXAMPLEREADERS00\naws_secret_access_key = made-up\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    resource = S3Resource(
        profile_name="readers", endpoint_url=moto_server().url, region_name="eu-west-1", max_attempts=3
    )
    source = s3_source(opened(KnowledgeBaseOnAws(s3=resource)))
    assert [entry.path for entry in source.list_entries()] == ["one.md"]
    found = described(source._client())
    assert (found["region"], found["key"]) == ("eu-west-1", "AKIAEXAMPLEREADERS00")
    assert found["retries"]["total_max_attempts"] == 3


def test_options_of_a_source_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_S3_ENDPOINT_URL", moto_server().url)
    monkeypatch.setenv("RAG_S3_REGION", "ap-south-1")
    resource = S3Resource(endpoint_url="http://127.0.0.1:9", region_name="eu-west-1")
    source = s3_source(opened(KnowledgeBaseOnAws(s3=resource)))
    assert described(source._client())["region"] == "ap-south-1"
    assert [entry.path for entry in source.list_entries()] == ["one.md"]


def test_the_queue_of_events_has_the_same_access(monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    url = moto_server().new_queue(bucket)
    monkeypatch.setenv("RAG_S3_QUEUE_URL", url)
    resource = S3Resource(
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="AKIAEXAMPLEQUEUES000",
        aws_secret_access_key="made-up",
    )
    (queue,) = event_queues(opened(KnowledgeBaseOnAws(s3=resource)).sources())
    found = described(queue._client())
    assert found["endpoint"] == moto_server().url
    assert found["key"] == "AKIAEXAMPLEQUEUES000"


def test_a_role_of_a_profile_is_assumed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "[profile base]\naws_access_key_id = AKIAEXAMPLEBASE00000\naws_secret_access_key = made-up\n"
        "[profile reader]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = base\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server().url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    of_run = s3_source(opened(KnowledgeBaseOnAws(s3=S3Resource(profile_name="reader"))))
    monkeypatch.setenv("AWS_PROFILE", "reader")
    of_command = s3_source(KnowledgeBase(load_settings()))
    for source in (of_run, of_command):
        assert [entry.path for entry in source.list_entries()] == ["one.md"]
        credentials = source._client()._request_signer._credentials
        assert credentials.method == "assume-role"
        assert credentials.access_key != "AKIAEXAMPLEBASE00000"


def test_an_unsigned_session_sends_no_key(bucket: str) -> None:
    client = build_client(
        "s3", endpoint_url=moto_server().url, region=None, timeout_seconds=5, connections=1,
        access=AwsAccess(use_unsigned_session=True),
    )  # fmt: skip
    sent: list[Any] = []
    client.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.headers))
    client.list_objects_v2(Bucket=bucket)
    assert sent
    assert "Authorization" not in sent[0]


def test_the_code_location_has_the_resource_for_buckets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def resource() -> Any:
        return (build_definitions(load_settings()).resources or {})["knowledge_base"]

    assert isinstance(resource().s3, S3Resource)
    monkeypatch.setenv("RAG_SOURCES", "filesystem")
    assert not isinstance(resource(), KnowledgeBaseOnAws)


@pytest.mark.slow
def test_dagster_aws_is_loaded_for_buckets_only(tmp_path: Path) -> None:
    program = (
        "import sys, rag_assets.definitions; print('dagster_aws' in sys.modules, 'boto3' in sys.modules)"
    )
    for sources, expected in (("filesystem", "False False"), ("s3", "True True")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path, env={"PATH": "", "HOME": str(tmp_path), "RAG_SOURCES": sources},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.strip() == expected, done.stderr

"""A backup under a prefix of an S3 bucket."""

import shutil

import pytest

from rag_assets_tests.optional_packages import require

require("boto3", "moto", "flask", "flask_cors")

from rag_assets.errors import BackupUnavailable, BackupUnusable, RefusedError  # noqa: E402
from rag_assets.operations.backup import create, index, places  # noqa: E402
from rag_assets.operations.backup import restore as restoring  # noqa: E402
from rag_assets_tests.moto_server import CREDENTIALS, moto_server, use_credentials  # noqa: E402
from rag_assets_tests.operations.conftest import Installations  # noqa: E402


def test_a_backup_on_s3_is_restored_and_checked(
    installations: Installations, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server().url)
    bucket = moto_server().new_bucket()
    target = f"s3://{bucket}/kb/2026-11-30"
    with installations.original() as knowledge_base, places.backup_place(target) as place:
        made = create.back_up(knowledge_base, place)
        scratch = place.get(index.INDEX).parent
    assert not scratch.exists()
    with (
        installations.original() as knowledge_base,
        places.backup_place(target) as place,
        pytest.raises(RefusedError, match="not empty"),
    ):
        create.back_up(knowledge_base, place)
    with installations.elsewhere() as knowledge_base, places.backup_place(target) as place:
        assert restoring.restore(knowledge_base, place).state == made.index.state
    moto_server().client("s3").put_object(Bucket=bucket, Key="kb/2026-11-30/texts.parquet", Body=b"other")
    shutil.rmtree(installations.other)
    with (
        installations.elsewhere() as knowledge_base,
        places.backup_place(target) as place,
        pytest.raises(BackupUnusable, match=r"texts\.parquet has 5 bytes"),
    ):
        restoring.restore(knowledge_base, place)
    assert not installations.other.exists()


def test_a_folder_made_by_a_console_is_an_empty_place_and_another_object_is_named(
    installations: Installations, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server().url)
    bucket = moto_server().new_bucket()
    target = f"s3://{bucket}/kb"
    moto_server().client("s3").put_object(Bucket=bucket, Key="kb/", Body=b"")
    moto_server().client("s3").put_object(Bucket=bucket, Key="kb2/texts.parquet", Body=b"of a neighbor")
    with installations.original() as knowledge_base, places.backup_place(target) as place:
        made = create.back_up(knowledge_base, place)
    with installations.elsewhere() as knowledge_base, places.backup_place(target) as place:
        assert restoring.restore(knowledge_base, place).state == made.index.state
    shutil.rmtree(installations.other)
    moto_server().client("s3").put_object(Bucket=bucket, Key="kb/ledger/other", Body=b"between")
    with (
        installations.elsewhere() as knowledge_base,
        places.backup_place(target) as place,
        pytest.raises(BackupUnusable, match="ledger/other does not belong"),
    ):
        restoring.restore(knowledge_base, place)
    assert not installations.other.exists()


def test_an_error_of_s3_is_in_words_without_secrets(
    installations: Installations, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server().url)
    with (
        installations.original() as knowledge_base,
        places.backup_place("s3://never-made/kb") as place,
        pytest.raises(BackupUnavailable, match="NoSuchBucket") as told,
    ):
        create.back_up(knowledge_base, place)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(told.value)

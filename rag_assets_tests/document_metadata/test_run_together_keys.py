"""Keys without capitals or separators, as S3 and many programs write them; broken dates; patterns of the settings."""

import pytest

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.policy import MetadataPolicy


@pytest.mark.parametrize(
    "key",
    [
        *("accesstoken", "authtoken", "refreshtoken", "clientsecret", "dbpassword", "userpassword"),
        *("awssecretaccesskey", "apikey", "my_sshprivatekey", "pw"),
    ],
)
def test_secrets_under_keys_written_together_are_left_out(key: str) -> None:
    assert dict(normalized({key: "harmless", "year": 1})) == {"year": 1}


@pytest.mark.parametrize(
    "key",
    [
        *("lastmodifiedby", "createdby", "authorname", "creatorname", "dateofbirth", "emailaddress"),
        *("phonenumber", "firstname", "username"),
    ],
)
def test_personal_fields_under_keys_written_together_are_left_out(key: str) -> None:
    merged = MetadataPolicy().merged(normalized({key: "Jo Doe", "year": 1}))
    assert dict(merged) == {"year": 1}


@pytest.mark.parametrize("key", ["doctype", "filename", "classname", "standby", "nearby", "monkey", "broken"])
def test_other_keys_are_kept(key: str) -> None:
    assert dict(MetadataPolicy().merged(normalized({key: "a value"}))) == {key: "a value"}


@pytest.mark.parametrize(
    "value",
    [
        *("2024-02-30", "2024-02-10T25:00:00Z", "1910-40-10T52:33:00Z", "2024-01-05T23:30:00+99:00"),
        *("2024-00-01", "2024-02-30T10:05:00"),
    ],
)
def test_a_broken_date_is_left_out_and_counted(value: str) -> None:
    said = normalized({"created": value, "year": 2024})
    assert dict(said) == {"year": 2024}
    assert said.left_out == ("broken date: created",)


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2024-01-05 10:00:00 +0200", "2024-01-05T08:00:00Z"),
        ("2024-01-05 10:00:00 -0500", "2024-01-05T15:00:00Z"),
        ("2024-01-05 10:00:00 -05:00", "2024-01-05T15:00:00Z"),
    ],
)
def test_a_date_with_a_space_before_its_zone_is_read(value: str, utc: str) -> None:
    assert dict(normalized({"date": value})) == {"date": utc}


@pytest.mark.parametrize(
    "pattern", ["docType", "doc-type", "Doc*", "internal-*", "Internal *", "?nternal-note"]
)
def test_patterns_of_keys_to_leave_out_are_read_like_keys(pattern: str) -> None:
    said = normalized({"docType": "a", "internal-note": "b"})
    merged = MetadataPolicy.of((), (), (pattern,)).merged(said)
    assert len(dict(merged)) == 1
    assert merged.left_out[0].startswith("RAG_METADATA_LEAVE_OUT")

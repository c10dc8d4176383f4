import pytest

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.policy import MetadataPolicy

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "key",
    [
        *(
            "password",
            "dbPassword",
            "passwd",
            "secret",
            "client_secret",
            "token",
            "access-token",
            "apiKey",
            "api key",
        ),
        *(
            "aws_secret_access_key",
            "privateKey",
            "credentials",
            "Authorization",
            "cookie",
            "session_id",
            "webhook_url",
        ),
    ],
)
def test_a_key_that_names_a_secret_is_left_out(key: str) -> None:
    said = normalized({key: "harmless", "year": 2024})
    assert dict(said) == {"year": 2024}
    [entry] = said.left_out
    assert entry.startswith("secret: ")


@pytest.mark.parametrize(
    "value",
    [
        "AKIA" + "ABCDEFGH12345678",
        "sk-" + "proj-abcdefghijklmnop1234",
        "the key is ghp_" + "a1B2" * 9,
        "xoxb-" + "123456789012-abcdef",
        "sk_live_" + "abcdefghij0123456789",
        "npm_" + "abcdefghijklmnopqrstuvwxyz0123456789",
        "hf_" + "abcdefghijklmnopqrstuvwxyzabcdefgh",
        "pypi-" + "ageichlwas5vcmc" * 4,
        "SG." + "abcdefghijklmnopqrstuv." + "abcdefghijklmnopqrstuvabcdefghijklmnopqrstuv",
        "ya29." + "abcdefghijklmnopqrstuvwxyz",
        JWT,
        "-----BEGIN RSA PRIVATE KEY----- MII",
        "postgresql://reader:hunter2@db/wiki",
        "https://bucket/a.pdf?X-Amz-Signature=abc",
        "https://host/a?token=abc",
        "Bearer abcdefghijklmnopqrst",
        "hT5kQ9vB2nX7cZ1mW8rL4pJ6sD3fG0aY",
    ],
)
def test_a_value_with_the_form_of_a_secret_is_left_out(value: str) -> None:
    for raw in (value, [value], f"see {value}"):
        said = normalized({"note": raw})
        assert dict(said) == {}
        assert said.left_out == ("secret: note",)


@pytest.mark.parametrize(
    "value",
    [
        "https://bucket/a.pdf?X-Amz-Credential=x%2F20260101",
        "https://bucket/a.pdf?AWSAccessKeyId=x&Expires=1&Signature=y",
        "https://host/a?x-goog-signature=abc",
        "https://cdn/a?Expires=1&Signature=x&Key-Pair-Id=K",
        "https://account.blob.core.windows.net/c/a.pdf?sv=2024&se=2026&sig=abc%3D",
        "https://host/a?session_id=0123",
        "https://host/a?page=2&amp;jwt=abc",
        "https://host/a#access_token=abc&state=1",
        "https://host/a?refresh_token=abc",
        "https://host/a?client-secret=abc",
        "https://host/a?auth=abc",
        "https://host/a?pwd=abc",
        "https://host/a?sid=abc",
        "https://host/a?api-key=abc",
        "https://host/a?id=ghp_0123456789abcdef",
        "https://host/login?next=https%3A%2F%2Fbucket%2Fa%3Fsig%3Dabc",
        "https://host/login?next=https%253A%252F%252Fbucket%252Fa%253Ftoken%253Dabc",
        "https://0123456789abcdef0123@github.com/org/wiki",
        "https://discord.com/api/webhooks/12345/abc",
        "https://example.webhook.office.com/webhookb2/1",
        "https://api.telegram.org/bot123:abc/getMe",
    ],
)
def test_a_url_with_a_secret_is_left_out(value: str) -> None:
    for raw in (value, [value], f"see {value}, then go on", {"url": value}):
        said = normalized({"note": raw})
        assert dict(said) == {}
        assert said.left_out in (("secret: note",), ("secret: note_url",))


@pytest.mark.parametrize(
    "value",
    [
        "https://host/a?author=ann&keyword=x&page=2&monkey=1",
        "https://host/a?id=6ba7b811-9dad-11d1-80b4-00c04fd430c8#section-2",
        "https://host/search?q=the+token+of+the+session",
        "https://host/100%25?size=2",
        "is it signed? no",
        "token=economy",
        "https://medium.com/@someone/a-story",
        "ssh://git@github.com/org/wiki",
    ],
)
def test_an_ordinary_url_is_kept(value: str) -> None:
    assert dict(normalized({"note": value})) == {"note": value}


@pytest.mark.parametrize(
    "value",
    [
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "5a2f6bd5-4d63-5d0c-9c52-0f4f0a7b8f11",
        "Report_2024_Final_Version_Draft_03_Edition",
        "https://example.com/docs/handbook?page=2",
        "Donaudampfschifffahrtsgesellschaftskapitän",
        "docs/HR/Policies2024/HandbookNewEdition.pdf",
        "2024-01-31T00:00:00Z",
        "npm_config_cache, hf_home and sk_learn",
        "SG.Singapore.Tower",
        "978-3-16-148410-0",
    ],
)
def test_ordinary_values_are_kept(value: str) -> None:
    assert dict(normalized({"note": value})) == {"note": value}
    assert dict(MetadataPolicy().merged(normalized({"note": value}))) == {"note": value}


@pytest.mark.parametrize(
    "key", ["keywords", "monkey", "token", "year", "valid_from", "valid_to", "page", "public_key"]
)
def test_similar_names_are_no_secrets(key: str) -> None:
    assert bool(normalized({key: 1})) == (key != "token")
    assert bool(MetadataPolicy().merged(normalized({key: 1}))) == (key != "token")


@pytest.mark.parametrize(
    "key",
    [
        *(
            "author",
            "Authors",
            "creator",
            "lastModifiedBy",
            "created by",
            "manager",
            "owner",
            "e-mail",
            "email",
        ),
        *("phone", "From", "to", "userName", "reviewers", "date of birth", "contact_person"),
    ],
)
def test_a_personal_field_is_left_out_unless_it_is_to_be_kept(key: str) -> None:
    said = normalized({key: "Ann", "year": 2024})
    merged = MetadataPolicy().merged(said)
    assert dict(merged) == {"year": 2024}
    [entry] = merged.left_out
    name = entry.removeprefix("personal: ")
    kept = MetadataPolicy.of((), [key]).merged(said)
    assert dict(kept) == {name: "Ann", "year": 2024}
    assert kept.left_out == ()


def test_addresses_and_telephone_numbers_are_personal_under_any_key() -> None:
    said = normalized(
        {"note": "write to ann@example.com", "line": "+49 30 123456", "tags": ["a", "bob@example.com"]}
    )
    merged = MetadataPolicy().merged(said)
    assert dict(merged) == {"tags": ("a",)}
    assert sorted(merged.left_out) == ["personal: line", "personal: note", "personal: tags"]


def test_no_setting_keeps_a_secret() -> None:
    policy = MetadataPolicy.of(["password:keyword"], ["password"])
    assert dict(policy.merged(normalized({"password": "x"}))) == {}

"""Properties of Notion as metadata: their types, people, hostile values, changes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.document_metadata.values import Metadata
from rag_assets.sources.notion import NotionOptions, NotionSource
from rag_assets.sources.notion_metadata import metadata_of
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.notion import TOKEN, Workspace, block, rich
from rag_assets_tests.sources.small_refresh import SmallRefresh

require("notion_client")

ANN = {"object": "user", "id": "5a2f6bd5-4d63-5d0c-9c52-0f4f0a7b8f11", "name": "Ann"}


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    workspace = Workspace()
    yield workspace
    workspace.close()


def source_of(workspace: Workspace) -> NotionSource:
    return NotionSource("notes", NotionOptions(base_url=workspace.url, token=TOKEN, timeout_seconds=5))


def said(kind: str, value: Any, name: str = "Field") -> Metadata:
    return metadata_of({"properties": {name: {"id": "x", "type": kind, kind: value}}})


def formula(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, kind: value}


def rollup(*values: tuple[str, Any]) -> dict[str, Any]:
    return {
        "type": "array",
        "array": [{"type": kind, kind: value} for kind, value in values],
        "function": "x",
    }


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("number", 12.5, {"field": 12.5}),
        ("number", 7, {"field": 7}),
        ("checkbox", False, {"field": False}),
        ("select", {"name": "High"}, {"field": "High"}),
        ("status", {"name": "In progress"}, {"field": "In progress"}),
        ("multi_select", [{"name": "a"}, {"name": "b"}], {"field": ("a", "b")}),
        ("rich_text", rich("some text"), {"field": "some text"}),
        ("url", "https://a.example", {"field": "https://a.example"}),
        ("date", {"start": "2026-01-05", "end": None}, {"field": "2026-01-05T00:00:00Z"}),
        (
            "date",
            {"start": "2026-01-05T10:00:00.000+02:00", "end": "2026-01-06", "time_zone": None},
            {"field": "2026-01-05T08:00:00Z", "field_end": "2026-01-06T00:00:00Z"},
        ),
        (
            "date",
            {"start": "2026-07-05T10:00:00", "time_zone": "America/New_York"},
            {"field": "2026-07-05T14:00:00Z"},
        ),
        ("created_time", "2026-01-05T08:11:00.000Z", {"field": "2026-01-05T08:11:00Z"}),
        ("unique_id", {"prefix": "ENG", "number": 7}, {"field": "ENG-7"}),
        ("verification", {"state": "verified"}, {"field": "verified"}),
        ("formula", formula("number", 3), {"field": 3}),
        ("formula", formula("string", "x"), {"field": "x"}),
        ("formula", formula("boolean", True), {"field": True}),
        ("formula", formula("date", {"start": "2026-01-05"}), {"field": "2026-01-05T00:00:00Z"}),
        ("rollup", {"type": "number", "number": 12, "function": "sum"}, {"field": 12}),
        (
            "rollup",
            rollup(("number", 1), ("select", {"name": "a"}), ("title", rich("T"))),
            {"field": ("1", "a", "T")},
        ),
        ("rollup", rollup(("multi_select", [{"name": "a"}, {"name": "b"}])), {"field": ("a", "b")}),
        ("rollup", rollup(), {}),
    ],
)
def test_a_property_keeps_its_type(kind: str, value: Any, expected: dict[str, Any]) -> None:
    metadata = said(kind, value)
    assert dict(metadata) == expected
    assert [type(it) for it in metadata.values()] == [type(it) for it in expected.values()]
    assert metadata.left_out == ()


@pytest.mark.parametrize(
    "kind",
    ["number", "select", "status", "date", "url", "people", "formula", "rollup", "unique_id", "rich_text"],
)
def test_a_property_without_a_value_says_nothing(kind: str) -> None:
    metadata = said(kind, None)
    assert (dict(metadata), metadata.left_out) == ({}, ())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("title", rich("T")),
        ("button", {}),
        ("relation", [{"id": "1"}]),
        ("files", [{"name": "a.pdf", "file": {"url": "https://s3.example/?X-Amz-Signature=secret"}}]),
        ("last_edited_time", "2026-01-05T08:11:00.000Z"),
        ("rollup", {"type": "unsupported", "unsupported": {}}),
    ],
)
def test_properties_without_a_value_of_their_own_are_left_out(kind: str, value: Any) -> None:
    metadata = said(kind, value)
    assert (dict(metadata), metadata.left_out) == ({}, ())


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [
        ("people", [ANN, {"object": "user", "id": "1"}], "kunde_people"),
        ("created_by", ANN, "kunde_people"),
        ("last_edited_by", ANN, "kunde_people"),
        ("email", "Ann", "kunde_email"),
        ("phone_number", "030 1234", "kunde_phone"),
        ("rollup", rollup(("people", [ANN])), "kunde_people"),
    ],
)
def test_people_are_personal_under_any_name(kind: str, value: Any, key: str) -> None:
    metadata = said(kind, value, "Kunde")
    assert list(metadata) == [key]
    assert dict(MetadataPolicy().merged(metadata)) == {}
    assert MetadataPolicy().merged(metadata).left_out == (f"personal: {key}",)
    assert dict(MetadataPolicy.of((), [key]).merged(metadata)) == dict(metadata)


def test_a_personal_name_stays() -> None:
    assert list(said("people", [ANN], "Owner")) == ["owner"]
    assert list(said("email", "a@example.com", "E-mail")) == ["e_mail"]


@pytest.mark.parametrize(
    "value",
    [
        {"type": "number", "number": float("nan")},
        {"type": "select", "select": "text"},
        {"type": "select", "select": {}},
        {"type": "multi_select", "multi_select": [None]},
        {"type": "multi_select", "multi_select": 5},
        {"type": "date", "date": {"start": None, "time_zone": "Europe/Berlin"}},
        {"type": "date", "date": {"start": "2026-01-05T10:00:00", "time_zone": "../../etc/passwd"}},
        {"type": "date", "date": {"start": "2026-01-05T10:00:00", "time_zone": "America"}},
        {"type": "formula", "formula": []},
        {"type": "rollup", "rollup": {"type": "array", "array": [{"type": "date", "date": 7}]}},
        {"type": "type of the future", "type of the future": {"a": 1}},
        {},
        None,
        "text",
    ],
)
def test_a_value_of_an_unknown_form_harms_only_itself(value: Any) -> None:
    metadata = metadata_of({"properties": {"Field": value, "Year": {"type": "number", "number": 2024}}})
    assert dict(metadata) == {"year": 2024}
    assert metadata.left_out == ("not usable: field",)


def test_hostile_properties_are_bounded() -> None:
    endless: dict[str, Any] = {"type": "formula"}
    endless["formula"] = endless
    properties: dict[str, Any] = {
        f"k{number}": {"type": "number", "number": number} for number in range(10_000)
    }
    properties |= {"a": {"type": "url", "url": "x" * 1_000_000}, "b": endless}
    metadata = metadata_of({"properties": properties})
    assert metadata["k0"] == 0
    assert len(str(metadata.to_json())) < 5000
    assert {"cut: a", "not usable: b", "too many keys"} <= set(metadata.left_out)


@pytest.mark.parametrize("properties", [None, [], "text", {}])
def test_a_page_without_properties_has_no_metadata(properties: Any) -> None:
    assert dict(metadata_of({"properties": properties})) == {}


def test_a_signed_link_is_not_kept() -> None:
    assert said("url", "https://s3.example/?X-Amz-Signature=abc").left_out == ("secret: field",)


def test_the_order_of_an_answer_changes_nothing() -> None:
    properties = {f"k{number}": {"type": "number", "number": number} for number in range(100)}
    backwards = dict(reversed(properties.items()))
    assert metadata_of({"properties": properties}) == metadata_of({"properties": backwards})


def test_a_listed_page_has_metadata_without_another_request(workspace: Workspace) -> None:
    select = {"id": "x", "type": "select", "select": {"name": "HR"}}
    workspace.add("row", properties={"Team": select, "Owner": {"type": "people", "people": [ANN]}})
    (entry,) = source_of(workspace).list_entries()
    assert dict(entry.metadata) == {"team": "HR", "owner": ("Ann",), "created": "2026-01-05T08:11:00Z"}
    assert len(workspace.questions) == 1


def test_a_changed_rollup_changes_the_payload_alone(workspace: Workspace, tmp_path: Path) -> None:
    """A rollup changes with another page, and the time of its own page does not."""
    refresh = SmallRefresh(tmp_path)
    page = workspace.add("row", block("paragraph", "text"), edited_at=datetime(2026, 1, 5, tzinfo=UTC))
    page.properties = {"Total": {"type": "rollup", "rollup": {"type": "number", "number": 1}}}
    refresh(source_of(workspace))
    before = workspace.num_bodies
    page.properties = {"Total": {"type": "rollup", "rollup": {"type": "number", "number": 2}}}
    outcome = refresh(source_of(workspace))
    (state,) = refresh.production.values()
    assert state.location.metadata["total"] == 2
    assert (list(outcome.changes.values()), workspace.num_bodies) == (["updated"], before)

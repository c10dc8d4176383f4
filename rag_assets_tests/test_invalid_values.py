from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from rag_assets.invalid_values import FORM, describe_invalid_values, expected_form
from rag_assets.settings import Settings
from rag_assets.sources.registry import SOURCES


def no_relative_path(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("write the whole path, from / on")
    return path


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    size: int = Field(1, ge=1, le=10)
    page: int = Field(1, gt=0)
    most: int = Field(1, le=9)
    pause_seconds: float = Field(0.5, ge=0, allow_inf_nan=False)
    share: float | None = Field(None, ge=0, le=1)
    mode: Literal["fast", "slow", "off"] = "off"
    only: Literal["one"] = "one"
    folder: Path | None = None
    root: Annotated[Path, AfterValidator(no_relative_path)] = Path("/")
    follow: bool = False
    names: tuple[str, ...] | None = None
    key: SecretStr | None = None
    arguments: dict[str, Any] = Field({})
    code: str = Field("a", pattern="^[a-z]$")
    alias: str = Field("a", pattern="^[a-z]{1,9}$", json_schema_extra={FORM: "1 to 9 small letters"})
    title: str = ""

    @model_validator(mode="after")
    def _not_both(self) -> "Options":
        if self.follow and self.names:
            raise ValueError("set `follow` or `names`, not both")
        return self


class Needy(BaseModel):
    bucket: str = Field(description="Bucket with the documents.")


def description(model: type[BaseModel], **values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        model(**values)
    labels = {"": "source s", "size": "RAG_SIZE"}
    return describe_invalid_values(
        caught.value, model.model_fields, lambda name: labels.get(name, name), "a source of kind k"
    )


HIDDEN = "a value not shown here, because it could be a key"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", "many", "RAG_SIZE: expected a whole number from 1 to 10, found `many`"),
        ("size", 1.5, "RAG_SIZE: expected a whole number from 1 to 10, found `1.5`"),
        ("size", "11", "RAG_SIZE: expected a whole number from 1 to 10, found `11`"),
        ("size", "10 MB", "RAG_SIZE: expected a whole number from 1 to 10, found `10 MB`"),
        ("size", "", "RAG_SIZE: expected a whole number from 1 to 10, found an empty value"),
        ("size", None, "RAG_SIZE: expected a whole number from 1 to 10, found no value"),
        ("size", [1], "RAG_SIZE: expected a whole number from 1 to 10, found a list"),
        ("page", 0, "page: expected a whole number greater than 0, found `0`"),
        ("most", 10, "most: expected a whole number of at most 9, found `10`"),
        ("pause_seconds", "-1", "pause_seconds: expected a number of at least 0, found `-1`"),
        ("pause_seconds", "nan", "pause_seconds: expected a number of at least 0, found `nan`"),
        ("share", "0,5", "share: expected a number from 0 to 1, found `0,5`"),
        ("mode", "slowly", "mode: expected `fast`, `slow` or `off`, found `slowly`"),
        ("only", "two", "only: expected `one`, found `two`"),
        ("folder", 3, "folder: expected a path, found `3`"),
        ("root", "data", "root: write the whole path, from / on"),
        ("follow", "perhaps", "follow: expected `true` or `false`, found `perhaps`"),
        ("names", "a,b", f"names: expected a list of texts, found {HIDDEN}"),
        ("names", ["a", {"b": 1}], "names: expected a list of texts, found a mapping"),
        (
            "arguments",
            "hunter",
            f"arguments: expected a mapping (in a variable, a JSON object), found {HIDDEN}",
        ),
        ("key", 12345, f"key: expected text, found {HIDDEN}"),
        ("code", "ab", "code: expected text of the form ^[a-z]$, found `ab`"),
        ("alias", "9", "alias: expected 1 to 9 small letters, found `9`"),
        ("title", {"a": 1}, "title: expected text, found a mapping"),
    ],
)
def test_a_message_gives_the_name_the_expected_form_and_the_value(
    name: str, value: object, expected: str
) -> None:
    assert description(Options, **{name: value}) == expected


def test_an_unknown_option_lists_the_known_ones() -> None:
    assert description(Options, shade="red").startswith(
        "shade: unknown option; a source of kind k has size, page, most, "
    )


def test_a_missing_option_is_described() -> None:
    assert description(Needy) == "bucket: required, but not set. Bucket with the documents."


def test_a_problem_of_two_options_together_names_their_owner() -> None:
    assert description(Options, follow=True, names=["a"]) == "source s: set `follow` or `names`, not both"


def test_all_problems_are_listed() -> None:
    assert description(Options, page=0, mode="x") == (
        "page: expected a whole number greater than 0, found `0`; mode: expected `fast`, `slow` or `off`, found `x`"
    )


@pytest.mark.parametrize(
    "key", ["sk-1234567890", "two words", "hunter-2", "https://hooks.example/T0/B1", "x" * 13]
)
def test_a_value_that_could_be_a_key_is_not_quoted(key: str) -> None:
    assert description(Options, size=key) == f"RAG_SIZE: expected a whole number from 1 to 10, found {HIDDEN}"


def test_every_setting_and_option_has_an_expected_form_in_words() -> None:
    fields = [
        *Settings.model_fields.values(),
        *(field for kind in SOURCES.values() for field in kind.Options.model_fields.values()),
    ]
    for field in fields:
        assert "typing" not in expected_form(field)
        assert "class" not in expected_form(field)

"""The arguments of each tool: their limits, their JSON schema, and their errors in plain words.

Values are checked strictly. An unknown argument is an error: a misspelled `filters` must not answer from all documents.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag_assets.errors import CallRefused
from rag_assets.invalid_values import FORM, expected_form

MOST_HITS = 20
_QUERY_CHARACTERS = 2_000
_FILTERS = 10
_FILTER_CHARACTERS = 500
_ID_CHARACTERS = 4_000
_SHOWN_NAME_CHARACTERS = 40


class Arguments(BaseModel):
    """The arguments of a tool. The base class has none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def of(cls, tool: str, given: Mapping[str, Any]) -> Self:
        """Check the arguments of a call.

        Raises:
            CallRefused: some are unusable.
        """
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            if not cls.model_fields:
                raise CallRefused(f"{tool} takes no arguments") from None
            names = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
            raise CallRefused("; ".join(cls._problem(tool, name) for name in names)) from None

    @classmethod
    def _problem(cls, tool: str, name: str) -> str:
        field = cls.model_fields.get(name)
        if field is None:
            return f"unknown argument {name[:_SHOWN_NAME_CHARACTERS]!r}: {tool} has {', '.join(cls.model_fields)}"
        return f"{name}: expected {expected_form(field)}"

    @classmethod
    def schema_for_callers(cls) -> dict[str, Any]:
        """Return the JSON schema, without the keys that only our own messages use."""
        schema = cls.model_json_schema()
        properties = {
            name: {key: value for key, value in one.items() if key not in (FORM, "title")}
            for name, one in schema.get("properties", {}).items()
        }
        kept = {key: schema[key] for key in ("type", "required", "additionalProperties") if key in schema}
        return {**kept, "properties": properties}


class SearchArguments(Arguments):
    """Arguments of `search`."""

    query: str = Field(
        min_length=1,
        max_length=_QUERY_CHARACTERS,
        description="A question in a full sentence, or keywords.",
        json_schema_extra={FORM: f"text of 1 to {_QUERY_CHARACTERS:,} characters"},
    )
    filters: list[Annotated[str, Field(max_length=_FILTER_CHARACTERS)]] = Field(
        default=[],
        max_length=_FILTERS,
        description="Conditions that must all match, for example path=hr/*, title=Handbook, source=wiki,files, "
        "modified_at>=2026-01-31 or metadata.year>=2024. FIELD=A,B is any of these values, FIELD=PREFIX* begins with it. "
        "Fields: source, source_uri, path, filename, title, document_id, heading_path, modified_at, metadata.KEY.",
        json_schema_extra={
            FORM: f"a list of up to {_FILTERS} texts of up to {_FILTER_CHARACTERS} characters"
        },
    )
    limit: int = Field(default=5, ge=1, le=MOST_HITS, description="Maximum number of hits.")


class DocumentArguments(Arguments):
    """Arguments of `get_document`."""

    document_id: str = Field(
        min_length=1,
        max_length=_ID_CHARACTERS,
        description="The document_id of a hit of search.",
        json_schema_extra={FORM: f"text of 1 to {_ID_CHARACTERS:,} characters"},
    )
    first_chunk: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="Position to read from. For a long document, the next_chunk of the answer before.",
    )

"""Options of the PostgreSQL source."""

from pydantic import Field, SecretStr, field_validator, model_validator

from rag_assets.document_metadata.normalization import normalized_key
from rag_assets.sources.base import DEFAULT_MAX_BYTES, RemoteSourceOptions
from rag_assets.sources.option_types import TextFormat


class PostgresOptions(RemoteSourceOptions):
    """The database, the rows, and the meaning of their columns."""

    dsn: SecretStr = Field(description="Connection string: postgresql://user:password@host/database.")
    table: str | None = Field(
        None,
        description="Table or view, as `table` or `schema.table`, in the same case as in the database.",
    )
    query: str | None = Field(None, description="A SELECT in place of a table.")
    id_column: str = Field("id", description="Identifier of a row: unique, never NULL.")
    text_column: str = Field("text", description="Text of a row, of type text.")
    updated_at_column: str | None = Field(
        None,
        description="Time or version that changes with the row. Without it, rows are hashed in the database.",
    )
    title_column: str | None = Field(None, description="Title of a row.")
    access_column: str | None = Field(
        None,
        description="Readers of a row: text[], or text with commas. NULL means no readers.",
    )
    metadata_columns: tuple[str, ...] = Field(
        (), description="Columns with metadata of a row: texts, numbers, dates, booleans, text[]."
    )
    row_security: bool = Field(
        False,
        description="Whether rows hidden from the user by row-level security count as deleted. Otherwise they make the listing "
        "incomplete.",
    )
    url_template: str | None = Field(
        None, description="Web page of a row, such as https://wiki.example.com/pages/{id}."
    )
    format: TextFormat = Field("text", description="Format of the text: text, markdown or html.")
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Longer texts are quarantined.")

    @field_validator("table")
    @classmethod
    def _table_has_a_schema_at_most(cls, table: str | None) -> str | None:
        if table is not None and (not all(parts := table.split(".")) or len(parts) > 2):
            raise ValueError("expected `table` or `schema.table`")
        return table

    @field_validator("metadata_columns")
    @classmethod
    def _columns_have_different_keys(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        keys: dict[str | None, str] = {}
        for column in columns:
            key = normalized_key(column)
            if key is None:
                raise ValueError(f"the column {column!r} makes no key of metadata")
            if key in keys:
                raise ValueError(f"the columns {keys[key]!r} and {column!r} are both the key {key}")
            keys[key] = column
        return columns

    @field_validator("url_template")
    @classmethod
    def _url_names_the_row(cls, template: str | None) -> str | None:
        if template is not None and "{id}" not in template:
            raise ValueError("expected a URL with `{id}` in it")
        return template

    @model_validator(mode="after")
    def _one_of_table_and_query(self) -> "PostgresOptions":
        if (self.table is None) == (self.query is None):
            raise ValueError("set exactly one of `table` and `query`")
        return self

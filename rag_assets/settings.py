"""The settings: every environment variable of the package, once, with its description.

Options of sources are described beside each source. `.env.example` and the table in docs/settings.md are rendered from
this class, and tested against it. `environment` says which of several values counts.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.environment import HOME, Environment, file_variable, read_environment, secret
from rag_assets.errors import ConfigurationError
from rag_assets.invalid_values import FORM, describe_invalid_values, may_hold_secrets
from rag_assets.setting_types import CronLine, Names, TimeZone, UserPath


class Settings(BaseModel):
    """Places, parts in use, and the numbers behind every decision. All paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: UserPath = Field(
        Path(),
        alias=HOME,
        description="Folder for relative paths and for `.env`. Empty: the working folder. Set it in the shell or the "
        "service, as an absolute path.",
    )

    # Documents
    documents_dir: UserPath = Field(
        Path("data/documents"), alias="RAG_DOCUMENTS_DIR", description="Folder with the documents."
    )
    sources: Names = Field(
        (),
        alias="RAG_SOURCES",
        description="Sources to read, separated by commas: names from the sources file, or kinds such as "
        "`s3`. Empty: every source in the file, or `filesystem` without a file.",
    )
    sources_file: UserPath | None = Field(
        None,
        alias="RAG_SOURCES_FILE",
        description="YAML file with sources by name, any number of each kind. See docs/sources.md.",
    )
    parse_seconds: int = Field(
        60,
        alias="RAG_PARSE_SECONDS",
        ge=1,
        description="Maximum processor time for parsing one document, in seconds.",
    )
    parse_memory_mb: int = Field(
        800,
        alias="RAG_PARSE_MEMORY_MB",
        ge=200,
        description="Maximum memory for parsing one document, in MB.",
    )
    max_text_mb: int = Field(
        25, alias="RAG_MAX_TEXT_MB", ge=1, description="Maximum text per document, in MB of UTF-8."
    )
    metadata_indexes: Names = Field(
        (),
        alias="RAG_METADATA_INDEXES",
        description="Metadata keys with an index, and their kind: `keyword`, `integer`, `float`, `datetime` or `bool`, for "
        "example `year:integer,department:keyword`. See docs/metadata.md.",
    )
    metadata_keep: Names = Field(
        (),
        alias="RAG_METADATA_KEEP",
        description="Personal metadata keys to keep, such as `author`. Others are left out. See docs/metadata.md.",
    )
    metadata_leave_out: Names = Field(
        (),
        alias="RAG_METADATA_LEAVE_OUT",
        description="Patterns of metadata keys to leave out, such as `internal_*`. `*` leaves out all.",
    )
    state_dir: UserPath = Field(
        Path(".rag"),
        alias="RAG_STATE_DIR",
        description="Folder for all state of the pipeline: generations, ledger, texts, data between assets.",
    )
    collection: str = Field(
        "knowledge_base",
        alias="RAG_COLLECTION",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
        json_schema_extra={FORM: "1 to 100 letters, digits, `_`, `.` and `-`, neither `.` nor `-` first"},
        description="Name of the knowledge base, and of its alias on a Qdrant server.",
    )

    # Near-duplicates
    near_duplicates: Literal["show", "keep_one", "off"] = Field(
        "show",
        alias="RAG_NEAR_DUPLICATES",
        description="Nearly identical documents: `show` them, `keep_one` of each group in the index, or "
        "`off`.",
    )

    # Chunks
    chunker: str = Field(
        "token_window",
        alias="RAG_CHUNKER",
        description="Chunking method: `token_window`, or `section` to follow the headings. See docs/chunkers.md.",
    )
    chunk_size: int = Field(512, alias="RAG_CHUNK_SIZE", ge=16, description="Maximum tokens per chunk.")
    chunk_overlap: int = Field(
        50, alias="RAG_CHUNK_OVERLAP", ge=0, description="Tokens shared by neighboring chunks."
    )
    tokenizer: str = Field(
        "",
        alias="RAG_TOKENIZER",
        description="Tokenizer for counting tokens. Empty: the tokenizer of the embedding model.",
    )

    # Embeddings
    embedding_model: str = Field(
        "",
        alias="RAG_EMBEDDING_MODEL",
        description="`wordllama` (local), or an OpenAI model such as `text-embedding-3-small`. Empty: the "
        "model of production. For an empty knowledge base: `text-embedding-3-small` with an "
        "OpenAI key, else `wordllama`.",
    )
    openai_api_key: SecretStr | None = Field(
        None, alias="OPENAI_API_KEY", description="API key for OpenAI or a compatible server."
    )
    openai_base_url: str | None = Field(
        None,
        alias="OPENAI_BASE_URL",
        description="Base URL of a server compatible with OpenAI. Empty: OpenAI itself.",
    )
    cache_ttl_seconds: int = Field(
        2_592_000,
        alias="REDIS_HASH_TTL",
        ge=60,
        description="Seconds to keep an unused cached vector or parse result.",
    )

    # Recordings and pictures
    transcription_model: str = Field(
        "",
        alias="RAG_TRANSCRIPTION_MODEL",
        description="OpenAI model for transcribing recordings, such as `gpt-transcribe`. Empty: recordings "
        "are not read. See docs/formats.md.",
    )
    vision_model: str = Field(
        "",
        alias="RAG_VISION_MODEL",
        description="OpenAI model for describing pictures, such as `gpt-4o-mini`. Empty: pictures are not "
        "read.",
    )
    media_base_url: str | None = Field(
        None,
        alias="RAG_MEDIA_BASE_URL",
        description="Base URL for the transcription and vision models. Empty: same as `OPENAI_BASE_URL`.",
    )
    media_api_key: SecretStr | None = Field(
        None,
        alias="RAG_MEDIA_API_KEY",
        description="API key for `RAG_MEDIA_BASE_URL`, which never receives `OPENAI_API_KEY` unless it is "
        "the same server.",
    )

    # Vector store
    qdrant_url: str | None = Field(
        None,
        alias="QDRANT_URL",
        description="URL of a Qdrant server. Empty: the embedded engine in the state folder.",
    )
    qdrant_api_key: SecretStr | None = Field(
        None,
        alias="QDRANT_API_KEY",
        description="API key for the Qdrant server. For an application that only searches, a read-only one is enough.",
    )
    qdrant_ca_file: UserPath | None = Field(
        None,
        alias="QDRANT_CA_FILE",
        description="Certificates of the authorities to trust for the Qdrant server, PEM. Empty: those of the machine.",
    )
    qdrant_timeout_seconds: int = Field(
        60,
        alias="QDRANT_TIMEOUT_SECONDS",
        ge=1,
        description="Seconds to wait for an answer of the Qdrant server.",
    )
    qdrant_replicas: int | None = Field(
        None,
        alias="RAG_QDRANT_REPLICAS",
        ge=1,
        description="Copies of each generation on a Qdrant cluster. With 2, a refresh and a search go on while a node "
        "is away. Empty: the default of the cluster.",
    )
    qdrant_write_consistency: int | None = Field(
        None,
        alias="RAG_QDRANT_WRITE_CONSISTENCY",
        ge=1,
        description="Copies that have to take a write on a Qdrant cluster. With as many as `RAG_QDRANT_REPLICAS` a refresh "
        "fails while a node is away. Empty: the default of the cluster. A copy that misses a write is never read before "
        "it is complete again.",
    )
    qdrant_shards: int = Field(
        1,
        alias="RAG_QDRANT_SHARDS",
        ge=1,
        description="Parts of each generation on a Qdrant cluster. With more than one, keyword scores count documents in "
        "each part alone, and the ranking differs from that of the embedded store.",
    )
    qdrant_snapshots: bool = Field(
        False,
        alias="RAG_QDRANT_SNAPSHOTS",
        description="Whether a snapshot of each generation is stored on the Qdrant server before its promotion.",
    )

    # Evaluation, gate, promotion
    benchmark_file: UserPath = Field(
        Path("eval_benchmarks/benchmark.jsonl"),
        alias="RAG_BENCHMARK_FILE",
        description="Questions with their expected documents, one JSON object per line. See "
        "docs/benchmark.md.",
    )
    eval_threshold: float = Field(
        0.75,
        alias="RAG_EVAL_THRESHOLD",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Minimum Recall@5 for a candidate to go live.",
    )
    eval_slice_by: str = Field(
        "",
        alias="RAG_EVAL_SLICE_BY",
        description="Metadata key for Recall@5 by its values, such as `department`. Empty: no such table.",
    )
    dense_weight: float = Field(
        0.3,
        alias="RAG_DENSE_WEIGHT",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Weight of the dense score in hybrid retrieval, 0 to 1. BM25 has the rest.",
    )
    max_deleted_share: float = Field(
        0.3,
        alias="RAG_MAX_DELETED_SHARE",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Maximum share of production deleted within 24 hours without approval. Up to 10 documents need none.",
    )
    keep_failed_candidate: bool = Field(
        False, alias="RAG_KEEP_FAILED_CANDIDATE", description="Keep a rejected candidate for inspection."
    )

    # Running
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process",
        alias="RAG_EXECUTOR",
        description="`in_process` (one process per run) or `multiprocess` (one process per step).",
    )
    auto_refresh: bool = Field(
        False,
        alias="RAG_AUTO_REFRESH",
        description="Whether the schedule and the sensors of Dagster start refreshes without being turned on in its UI. "
        "A switch in the UI wins over this setting.",
    )
    schedule: CronLine = Field(
        "0 */6 * * *",
        alias="RAG_SCHEDULE",
        description="Cron line of the schedule `refresh_on_schedule`: minute, hour, day of the month, month, day of the "
        "week. Read when Dagster loads the code location.",
    )
    schedule_timezone: TimeZone = Field(
        "UTC",
        alias="RAG_SCHEDULE_TIMEZONE",
        description="Time zone of `RAG_SCHEDULE`, such as `Europe/Berlin`.",
    )
    slack_webhook_url: SecretStr | None = Field(
        None,
        alias="SLACK_WEBHOOK_URL",
        description="Incoming Slack webhook for alerts: failed refreshes and unreadable sources.",
    )

    # MCP server
    mcp_filter: str = Field(
        "",
        alias="RAG_MCP_FILTER",
        description="Access filter of `rag-assets mcp`: filters as of `rag-assets search --filter`, separated by semicolons, "
        "for example `access=everyone;source=wiki`. All must match. Empty: every document is readable. See docs/mcp.md.",
    )
    mcp_token: SecretStr | None = Field(
        None,
        alias="RAG_MCP_TOKEN",
        min_length=16,
        json_schema_extra={FORM: "at least 16 characters"},
        description="Bearer token of `rag-assets mcp --http`, at least 16 characters. Empty: none, for the loopback address "
        "only.",
    )
    mcp_hosts: Names = Field(
        (),
        alias="RAG_MCP_HOSTS",
        description="Host names in requests to `rag-assets mcp --http`, separated by commas, beside `localhost` and the "
        "address it listens on. Requests to other names, and from pages of other sites, are refused.",
    )
    mcp_calls_per_minute: int = Field(
        60,
        alias="RAG_MCP_CALLS_PER_MINUTE",
        ge=1,
        description="Maximum calls of tools per minute in one `rag-assets mcp`.",
    )

    @field_validator("metadata_indexes")
    @classmethod
    def _check_indexes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        MetadataPolicy.of(value)
        return value

    @model_validator(mode="after")
    def _resolve_paths(self) -> Self:
        home = self.home.absolute()
        # The model is frozen, and defaults are resolved too.
        vars(self).update({name: home / value for name, value in self if isinstance(value, Path)})
        return self

    @property
    def metadata_policy(self) -> MetadataPolicy:
        return MetadataPolicy.of(self.metadata_indexes, self.metadata_keep, self.metadata_leave_out)


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and the `.env` files.

    Args:
        overrides: values by field name. They win over both.

    Raises:
        ConfigurationError: a value is malformed. The message names the variable and the expected form, never a secret.
    """
    # Not `populate_by_name`: with it COLLECTION, SOURCES or EXECUTOR in the environment would be read too.
    by_alias = {Settings.model_fields[name].alias or name: value for name, value in overrides.items()}
    environment = read_environment()
    try:
        return Settings.model_validate({**settings_in(environment), **by_alias, HOME: environment.home})
    except ValidationError as error:
        fields = {str(field.alias): field for field in Settings.model_fields.values()}
        raise ConfigurationError(describe_invalid_values(error, fields, str, "Settings")) from None


def settings_in(environment: Environment) -> dict[str, str]:
    """Return the settings with a value, by variable.

    Raises:
        ConfigurationError: the file of a secret is unusable, or the secret has a variable too.
    """
    values = environment.variables
    return {
        alias: values[name] if name != file_variable(alias) else secret(alias, values, environment.home) or ""
        for alias, name in variables_of_settings(environment).items()
    }


def variables_of_settings(environment: Environment) -> dict[str, str]:
    """Return setting -> the variable of its value: its own, that in lower case, or that for the file of a secret."""
    values = environment.variables
    spelled = {name.upper(): name for name in values} | {name: name for name in values}
    found: dict[str, str] = {}
    for field in Settings.model_fields.values():
        alias = str(field.alias)
        if may_hold_secrets(field.annotation) and values.get(file_variable(alias)):
            found[alias] = file_variable(alias)
        elif alias in spelled and values[spelled[alias]]:
            found[alias] = spelled[alias]
    return found


def known_variables() -> set[str]:
    """Return the variables of all settings, and those for the files of secrets."""
    fields = [(str(field.alias), field) for field in Settings.model_fields.values()]
    files = {file_variable(alias) for alias, field in fields if may_hold_secrets(field.annotation)}
    return files | {alias for alias, _ in fields}

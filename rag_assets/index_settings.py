"""The settings of documents, chunks and vectors: the first half of `rag_assets.settings.Settings`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.environment import HOME
from rag_assets.invalid_values import FORM
from rag_assets.setting_types import Names, UserPath


class IndexSettings(BaseModel):
    """Documents, chunks and vectors."""

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

    @field_validator("metadata_indexes")
    @classmethod
    def _check_indexes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        MetadataPolicy.of(value)
        return value

    @property
    def metadata_policy(self) -> MetadataPolicy:
        return MetadataPolicy.of(self.metadata_indexes, self.metadata_keep, self.metadata_leave_out)

"""Every environment variable that the package reads, once, with its description; options of sources stand beside
each source.

`.env.example` and the table in the README are tested against this class. A `.env` file in the working
directory is read too; the real environment wins over it.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rag_assets.errors import ConfigurationError


def _expand_home(path: Path) -> Path:
    # Not Path.expanduser, which raises where there is no such home: then the folder is what is reported missing.
    return Path(os.path.expanduser(path))  # noqa: PTH111


UserPath = Annotated[Path, AfterValidator(_expand_home)]
"""A path as people write it. No shell has replaced `~` in a `.env` file or in YAML."""


class Settings(BaseSettings):
    """Where things are, which parts are used, and the numbers that decide."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    # Documents
    documents_dir: UserPath = Field(
        Path("data/documents"), alias="RAG_DOCUMENTS_DIR", description="Folder with the documents."
    )
    sources: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="RAG_SOURCES",
        description="Sources to read, separated by commas: names of the sources file, or kinds such as `s3`. Empty: "
        "every source of the file, or `filesystem` if there is no file.",
    )
    sources_file: UserPath | None = Field(
        None,
        alias="RAG_SOURCES_FILE",
        description="YAML file that declares sources by name, any number of each kind; see docs/sources.md.",
    )
    parse_seconds: int = Field(
        60,
        alias="RAG_PARSE_SECONDS",
        ge=1,
        description="Seconds of processor time that parsing one document may take.",
    )
    parse_memory_mb: int = Field(
        800, alias="RAG_PARSE_MEMORY_MB", ge=200, description="Memory that parsing one document may take."
    )
    max_text_mb: int = Field(
        25, alias="RAG_MAX_TEXT_MB", ge=1, description="Text of one document, as UTF-8, at most."
    )
    state_dir: UserPath = Field(
        Path(".rag"),
        alias="RAG_STATE_DIR",
        description="Folder for everything the pipeline keeps: generations, ledger, texts, data between assets.",
    )
    collection: str = Field(
        "knowledge_base",
        alias="RAG_COLLECTION",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
        description="Name of the knowledge base; on a Qdrant server, the alias that readers query.",
    )

    # Near-duplicates
    near_duplicates: Literal["show", "keep_one", "off"] = Field(
        "show",
        alias="RAG_NEAR_DUPLICATES",
        description="Documents that say nearly the same: `show` them, `keep_one` of each group in the index, or `off`.",
    )

    # Chunks
    chunker: str = Field(
        "token_window",
        alias="RAG_CHUNKER",
        description="How documents are cut: `token_window`, or `section` to follow their headings.",
    )
    chunk_size: int = Field(512, alias="RAG_CHUNK_SIZE", ge=16, description="Most tokens in a chunk.")
    chunk_overlap: int = Field(
        50, alias="RAG_CHUNK_OVERLAP", ge=0, description="Tokens that neighbouring chunks share."
    )
    tokenizer: str = Field(
        "",
        alias="RAG_TOKENIZER",
        description="Tokenizer that counts; empty means the embedding model's own.",
    )

    # Embeddings
    embedding_model: str = Field(
        "",
        alias="RAG_EMBEDDING_MODEL",
        description="`wordllama` (local), or a model of the OpenAI API such as `text-embedding-3-small`. "
        "Empty: the model that production was built with; for an empty knowledge base OpenAI's if its key "
        "is set, else the local one.",
    )
    openai_api_key: SecretStr | None = Field(
        None, alias="OPENAI_API_KEY", description="Key of the OpenAI API, or of what speaks it."
    )
    openai_base_url: str | None = Field(
        None, alias="OPENAI_BASE_URL", description="Another endpoint that speaks OpenAI's API."
    )
    cache_ttl_seconds: int = Field(
        2_592_000,
        alias="REDIS_HASH_TTL",
        ge=60,
        description="Seconds that an unused cached vector or parse result is kept.",
    )

    # Recordings and pictures
    transcription_model: str = Field(
        "",
        alias="RAG_TRANSCRIPTION_MODEL",
        description="Model of the OpenAI API that recordings are sent to, such as `gpt-transcribe`. Empty: recordings "
        "are not read.",
    )
    vision_model: str = Field(
        "",
        alias="RAG_VISION_MODEL",
        description="Model of the OpenAI API that pictures are sent to, such as `gpt-4o-mini`. Empty: pictures are not "
        "read.",
    )
    media_base_url: str | None = Field(
        None,
        alias="RAG_MEDIA_BASE_URL",
        description="Another endpoint for these two models; empty means that of `OPENAI_BASE_URL`.",
    )
    media_api_key: SecretStr | None = Field(
        None,
        alias="RAG_MEDIA_API_KEY",
        description="Key of `RAG_MEDIA_BASE_URL`, to which `OPENAI_API_KEY` is not sent.",
    )

    # Vector store
    qdrant_url: str | None = Field(
        None,
        alias="QDRANT_URL",
        description="Qdrant server; empty means the embedded engine in the state folder.",
    )
    qdrant_api_key: SecretStr | None = Field(
        None, alias="QDRANT_API_KEY", description="Key of the Qdrant server."
    )

    # Evaluation, gate, promotion
    benchmark_file: UserPath = Field(
        Path("eval_benchmarks/benchmark.jsonl"),
        alias="RAG_BENCHMARK_FILE",
        description="Questions with the documents that answer them, one JSON object a line.",
    )
    eval_threshold: float = Field(
        0.75,
        alias="RAG_EVAL_THRESHOLD",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Recall@5 that a candidate must reach to go live.",
    )
    dense_weight: float = Field(
        0.3,
        alias="RAG_DENSE_WEIGHT",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of the dense score in hybrid retrieval; the rest is BM25's.",
    )
    max_deleted_share: float = Field(
        0.3,
        alias="RAG_MAX_DELETED_SHARE",
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="A refresh asks before it deletes more than this share of the documents in production and more than 10 of them, "
        "or all that a source had.",
    )
    keep_failed_candidate: bool = Field(
        False, alias="RAG_KEEP_FAILED_CANDIDATE", description="Keep a rejected candidate, to look into it."
    )

    # Running
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process", alias="RAG_EXECUTOR", description="`in_process` (one process a run) or `multiprocess`."
    )
    slack_webhook_url: SecretStr | None = Field(
        None, alias="SLACK_WEBHOOK_URL", description="Incoming webhook that failures are posted to."
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`; `overrides` (by field name) win over both.

    Raises:
        ConfigurationError: a value is malformed; the message names the variable, never a secret.
    """
    # Not `populate_by_name`: with it COLLECTION, SOURCES or EXECUTOR in the environment would be read too.
    by_alias = {Settings.model_fields[name].alias or name: value for name, value in overrides.items()}
    try:
        return Settings(**by_alias)
    except ValidationError as error:
        problems = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors(include_input=False))
        raise ConfigurationError(f"settings that cannot be used: {problems}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file .env cannot be read ({type(error).__name__})") from None


def environment_with_dotenv() -> dict[str, str]:
    """Return every variable of the environment, and of `.env` those that it does not set: for options of sources.

    Raises:
        ConfigurationError: `.env` cannot be read.
    """
    from dotenv import dotenv_values

    try:
        below = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the file .env cannot be read ({type(error).__name__})") from None
    return {**below, **os.environ}


def worker_environment() -> dict[str, str]:
    """Return what a process that parses documents needs of the environment: this package, and no secret."""
    kept = (
        *("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "TESSDATA_PREFIX"),
        *("PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    )
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_THREAD_LIMIT": "1",
        # openpyxl imports numpy, whose OpenBLAS takes address space for each processor, of which there is little.
        "OPENBLAS_NUM_THREADS": "1",
    }

"""The resource for each step: its `KnowledgeBase`, with settings for one run from the Launchpad."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings, load_settings


class KnowledgeBaseResource(dg.ConfigurableResource[KnowledgeBase]):
    """Settings shared by all assets of a run.

    Empty fields take their value from the environment at the start of the run. Secrets and addresses are set only there.
    """

    sources: list[str] | None = Field(
        default=None,
        description="Sources to read (RAG_SOURCES). Leaving one out deletes none of its documents.",
    )
    near_duplicates: str | None = Field(
        default=None,
        description="Near-duplicate documents: show, keep_one or off (RAG_NEAR_DUPLICATES). keep_one leaves all but one "
        "of a group out of the index.",
    )
    chunker: str | None = Field(
        default=None,
        description="Chunker: token_window, or section to follow headings (RAG_CHUNKER). A change rebuilds the whole "
        "index.",
    )
    chunk_size: int | None = Field(
        default=None,
        description="Maximum tokens per chunk (RAG_CHUNK_SIZE). A change rebuilds the whole index.",
    )
    chunk_overlap: int | None = Field(
        default=None,
        description="Tokens shared by neighboring chunks (RAG_CHUNK_OVERLAP). A change rebuilds the whole index.",
    )
    tokenizer: str | None = Field(
        default=None,
        description="Tokenizer for counting tokens, instead of the embedding model's own (RAG_TOKENIZER). A change "
        "rebuilds the whole index.",
    )
    embedding_model: str | None = Field(
        default=None,
        description="Embedding model: wordllama, or a model of the OpenAI API (RAG_EMBEDDING_MODEL). A model other than "
        "production's rebuilds the whole index.",
    )
    eval_threshold: float | None = Field(
        default=None, description="Minimum Recall@5 for promotion (RAG_EVAL_THRESHOLD)."
    )
    dense_weight: float | None = Field(
        default=None, description="Weight of the dense score in hybrid retrieval, 0 to 1 (RAG_DENSE_WEIGHT)."
    )
    max_deleted_share: float | None = Field(
        default=None,
        description="Maximum share of documents deleted within 24 hours without approval (RAG_MAX_DELETED_SHARE). Up to "
        "10 documents need none.",
    )
    approve_deletions: str | None = Field(
        default=None,
        description="Token from a refused deletion or rebuild. Approves exactly that one, in this run.",
    )

    def run_settings(self) -> Settings:
        """Return the settings from the environment, overridden by the values for this run.

        Raises:
            ConfigurationError: a value is invalid.
        """
        values = {
            name: getattr(self, name) for name in type(self).model_fields if name != "approve_deletions"
        }
        return load_settings(**{name: value for name, value in values.items() if value is not None})

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[KnowledgeBase]:
        try:
            settings = self.run_settings()
        except ConfigurationError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        approved = frozenset({self.approve_deletions} if self.approve_deletions else ())
        knowledge_base = KnowledgeBase(settings, approved)
        try:
            yield knowledge_base
        finally:
            if settings.executor == "in_process" and context.run_id:
                # One process executes the whole run, so the run ends here.
                knowledge_base.ledger.release_lease(context.run_id)
            knowledge_base.close()

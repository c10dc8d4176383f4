"""The resource that hands each step its `KnowledgeBase`, with what the Launchpad may change for one run."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings, load_settings


class KnowledgeBaseResource(dg.ConfigurableResource[KnowledgeBase]):
    """Settings that several assets must agree on, in one place, so that they cannot disagree.

    What is not set here is as the environment has it when the run starts. Secrets and places are not here.
    """

    sources: list[str] | None = Field(
        default=None, description="Sources to read (RAG_SOURCES). One that is left out deletes nothing."
    )
    near_duplicates: str | None = Field(
        default=None,
        description="Documents that say nearly the same: show, keep_one or off (RAG_NEAR_DUPLICATES). keep_one takes the "
        "others out of the index.",
    )
    chunker: str | None = Field(
        default=None,
        description="How documents are cut: token_window, or section to follow their headings (RAG_CHUNKER). Another "
        "one rebuilds the index in full.",
    )
    chunk_size: int | None = Field(
        default=None,
        description="Most tokens in a chunk (RAG_CHUNK_SIZE). Another value rebuilds the index in full.",
    )
    chunk_overlap: int | None = Field(
        default=None, description="Tokens that neighbouring chunks share (RAG_CHUNK_OVERLAP)."
    )
    tokenizer: str | None = Field(
        default=None,
        description="Tokenizer that counts, instead of the embedding model's own (RAG_TOKENIZER).",
    )
    embedding_model: str | None = Field(
        default=None,
        description="wordllama, or a model of the OpenAI API (RAG_EMBEDDING_MODEL). Another one than in production "
        "rebuilds the index in full.",
    )
    eval_threshold: float | None = Field(
        default=None, description="Recall@5 that a candidate must reach to go live (RAG_EVAL_THRESHOLD)."
    )
    dense_weight: float | None = Field(
        default=None, description="Share of the dense score in hybrid retrieval, 0 to 1 (RAG_DENSE_WEIGHT)."
    )
    max_deleted_share: float | None = Field(
        default=None,
        description="Share of documents that may go without an approval; 10 may always, unless they are all that a "
        "source had (RAG_MAX_DELETED_SHARE).",
    )
    approve_deletions: str | None = Field(
        default=None, description="Token from a refused deletion; lets exactly that set through in this run."
    )

    def run_settings(self) -> Settings:
        """Return the environment's settings with this run's values in their place.

        Raises:
            ConfigurationError: a value cannot be used.
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
                # One process runs the whole run, so this is its end.
                knowledge_base.ledger.release_lease(context.run_id)
            knowledge_base.close()

"""The resource that hands each step its `KnowledgeBase`, with what the Launchpad may change for one run."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings, load_settings


class KnowledgeBaseResource(dg.ConfigurableResource[KnowledgeBase]):
    """Settings that several assets must agree on, in one place, so that they cannot disagree.

    The defaults are those of the environment when the code location was loaded. Secrets and places are not
    here: they are read from the environment when a run starts.
    """

    sources: list[str] = Field(description="Sources to read. One that is left out deletes nothing.")
    chunker: str = Field(description="How documents are cut.")
    chunk_size: int = Field(description="Most tokens in a chunk. Another value rebuilds the index in full.")
    chunk_overlap: int = Field(description="Tokens that neighbouring chunks share.")
    tokenizer: str = Field(description="Tokenizer that counts; empty means the embedding model's own.")
    embedding_model: str = Field(
        description="wordllama, or a model of the OpenAI API; empty means the one production was built with."
    )
    eval_threshold: float = Field(description="Recall@5 that a candidate must reach to go live.")
    dense_weight: float = Field(description="Share of the dense score in hybrid retrieval, 0 to 1.")
    max_deleted_share: float = Field(
        description="Share of documents that may go without an approval, 0 to 1."
    )
    approve_deletions: str = Field(
        default="", description="Token from a refused deletion; lets exactly that set through in this run."
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> "KnowledgeBaseResource":
        values: dict[str, Any] = {name: getattr(settings, name) for name in cls._setting_names()}
        values["sources"] = list(settings.sources)
        return cls(**values)

    @classmethod
    def _setting_names(cls) -> list[str]:
        return [name for name in cls.model_fields if name != "approve_deletions"]

    def run_settings(self) -> Settings:
        """Return the environment's settings with this run's values in their place.

        Raises:
            ConfigurationError: a value of the Launchpad cannot be used.
        """
        return load_settings(**{name: getattr(self, name) for name in self._setting_names()})

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[KnowledgeBase]:
        try:
            settings = self.run_settings()
        except ConfigurationError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        knowledge_base = KnowledgeBase(settings, frozenset({self.approve_deletions} - {""}))
        try:
            yield knowledge_base
        finally:
            if settings.executor == "in_process" and context.run_id:
                # One process runs the whole run, so this is its end.
                knowledge_base.ledger.release_lease(context.run_id)
            knowledge_base.close()

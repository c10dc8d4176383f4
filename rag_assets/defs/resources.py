"""The resource for each step: its `KnowledgeBase`, with settings for one run from the Launchpad."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg
from pydantic import Field

from rag_assets.aws.client import AwsAccess
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.run_log import logged_in_run
from rag_assets.effective_settings import REBUILDING
from rag_assets.errors import ConfigurationError, RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.approvals import parsed_token
from rag_assets.settings import Settings, load_settings

_REBUILDS = "A change rebuilds the whole index, and the next run without it rebuilds it again."


def _description_of(name: str, effect: str = "") -> str:
    """Return the description of a setting, with its variable."""
    field = Settings.model_fields[name]
    described = str(field.description).replace("`", "")
    effect = _REBUILDS if name in REBUILDING else effect
    return " ".join(filter(None, (described, effect, f"Set for all runs by {field.alias}.")))


class KnowledgeBaseResource(dg.ConfigurableResource[KnowledgeBase]):
    """Settings shared by all assets of a run.

    Empty fields take their value from `.env` and the environment at the start of the run. Secrets and addresses are set only there.
    """

    sources: list[str] | None = Field(
        default=None, description=_description_of("sources", "Leaving one out deletes none of its documents.")
    )
    near_duplicates: str | None = Field(default=None, description=_description_of("near_duplicates"))
    chunker: str | None = Field(default=None, description=_description_of("chunker"))
    chunk_size: int | None = Field(default=None, description=_description_of("chunk_size"))
    chunk_overlap: int | None = Field(default=None, description=_description_of("chunk_overlap"))
    tokenizer: str | None = Field(default=None, description=_description_of("tokenizer"))
    embedding_model: str | None = Field(default=None, description=_description_of("embedding_model"))
    eval_threshold: float | None = Field(default=None, description=_description_of("eval_threshold"))
    max_regression: float | None = Field(default=None, description=_description_of("max_regression"))
    regression_fails: bool | None = Field(default=None, description=_description_of("regression_fails"))
    dense_weight: float | None = Field(default=None, description=_description_of("dense_weight"))
    max_deleted_share: float | None = Field(default=None, description=_description_of("max_deleted_share"))
    approve_deletions: str | None = Field(
        default=None,
        description="Token from a refused deletion or rebuild. Approves exactly that one, in this run.",
    )

    def values_for_run(self) -> dict[str, Any]:
        """Return the settings with a value for this run, by name."""
        values = {
            name: getattr(self, name) for name in type(self).model_fields if name in Settings.model_fields
        }
        return {name: value for name, value in values.items() if value is not None}

    def aws_access(self) -> AwsAccess | None:
        """Return how AWS is reached. None: as by any AWS tool."""
        return None

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[KnowledgeBase]:
        with secrets_hidden():
            knowledge_base = self._opened()
            try:
                yield knowledge_base
            finally:
                if knowledge_base.settings.executor == "in_process" and context.run_id:
                    # One process executes the whole run, so the run ends here. If the ledger cannot be opened, the lease is
                    # one of a dead run, and taken over as such.
                    with suppress(RagAssetsError):
                        knowledge_base.ledger.release_lease(context.run_id)
                with logged_in_run(context.log, context.instance):
                    knowledge_base.close()

    def _opened(self) -> KnowledgeBase:
        try:
            values = self.values_for_run()
            settings = load_settings(**values)
            given = frozenset({parsed_token(self.approve_deletions)} if self.approve_deletions else ())
        except ConfigurationError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        knowledge_base = KnowledgeBase(settings, given, frozenset(values))
        knowledge_base.aws_access = self.aws_access()
        return knowledge_base

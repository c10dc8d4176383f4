"""The decisions of people as jobs: rollback, resume and approve. Who, when and why are recorded and shown."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from rag_assets.defs.assets import production_collection
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.metadata.generations import held_metadata, resumed_metadata
from rag_assets.defs.run_log import logged_in_run
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.operations import decisions
from rag_assets.records import GenerationManifest

_USER_TAG = "user"
"""Tag of a run with its launcher, where Dagster knows it."""


class DecisionConfig(dg.Config):
    """Who decides, and why."""

    reason: str = Field(
        default="",
        description="Why. Shown to everyone in status, alerts and skipped ticks. Maximum: 500 characters.",
    )
    by: str = Field(
        default="", description="Who decides. Empty: the tag user of this run, or else the id of this run."
    )

    def person(self, context: dg.OpExecutionContext) -> str:
        run = context.run
        return self.by or run.tags.get(_USER_TAG, "") or f"Dagster run {run.run_id[:8]}"


class ApprovalConfig(DecisionConfig):
    """Which refusal is approved, by whom, and why."""

    token: str = Field(description="16 hexadecimal digits from the message of the refusal, or from status.")


@contextmanager
def _failures_shown(context: dg.OpExecutionContext) -> Generator[None]:
    try:
        with secrets_hidden(), logged_in_run(context.log, context.instance):
            yield
    except RagAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _describe_production(
    context: dg.OpExecutionContext, manifest: GenerationManifest | None, metadata: dict[str, Any]
) -> None:
    """Otherwise the page of the asset would still describe production before the decision."""
    if manifest is not None:
        tags = {"dagster/data_version": manifest.digest}
        context.log_event(dg.AssetMaterialization(production_collection.key, metadata=metadata, tags=tags))


@dg.op(description="Puts the previous generation back into production and holds it there.")
def roll_back_production(
    context: dg.OpExecutionContext, config: DecisionConfig, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    with _failures_shown(context):
        state = decisions.roll_back(knowledge_base, by=config.person(context), reason=config.reason)
        manifest = knowledge_base.production_manifest()
    _describe_production(context, manifest, held_metadata(manifest, state))
    context.log.info("%s. %s stays out of service until `rag-assets resume`", state.hold_in_words, state.held)


@dg.op(description="Lifts the hold of a rollback.")
def resume_production(
    context: dg.OpExecutionContext, config: DecisionConfig, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    with _failures_shown(context):
        hold, state = decisions.resume(knowledge_base, by=config.person(context), reason=config.reason)
        manifest = knowledge_base.production_manifest()
    if hold is None:
        context.log.info("nothing was held, production is %s", state.production or "empty")
        return
    _describe_production(context, manifest, resumed_metadata(manifest))
    context.log.info(
        "lifted the hold of %s: the next refresh to pass goes live. It was held %s", state.production, hold
    )


@dg.op(description="Admits one refused set of deletions, one loss or one rebuild, once.")
def approve_refusal(
    context: dg.OpExecutionContext, config: ApprovalConfig, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    with _failures_shown(context):
        refusal = decisions.approve(
            knowledge_base, config.token, by=config.person(context), reason=config.reason
        )
    context.log.info("approved for the next refresh, once: %s", refusal.subject)


@dg.job(
    description="Returns production to the previous generation within seconds, and holds it there until `resume`. Refreshes "
    "in the meantime promote nothing. Say why in `reason`, for everyone to see, or press *Launch Run* at once."
)
def rollback() -> None:
    roll_back_production()


@dg.job(
    description="Lifts the hold of a rollback: the next refresh to pass the gate goes live again. Same as "
    "`rag-assets resume`."
)
def resume() -> None:
    resume_production()


@dg.job(
    description="Approves one refusal by its token, once: deletions, a loss, or a rebuild. The next refresh uses it. Same as "
    "`rag-assets approve TOKEN`."
)
def approve() -> None:
    approve_refusal()

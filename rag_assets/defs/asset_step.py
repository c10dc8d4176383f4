"""The frame around the body of each asset: its run, inputs and outputs, the lease, and errors."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from rag_assets.alerts.run_facts import SUPERSEDED_IN_A_ROW
from rag_assets.artifacts.last_outcome import OutcomeRecord, record_failure
from rag_assets.artifacts.parquet_artifact import Artifact, ArtifactWriter, Header
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.metadata.artifact import artifact_metadata
from rag_assets.defs.metadata.sentences import sentence
from rag_assets.defs.metadata.tables import shown
from rag_assets.defs.recorded_runs import run_recorded
from rag_assets.defs.run_log import logged_in_run
from rag_assets.defs.run_tags import tag_run
from rag_assets.errors import RagAssetsError, TransientError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import HeldLease, lease_renewed, wait_for_lease
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome, outcome_of
from rag_assets.text.wording import counted
from rag_assets.tracking.observer import Observer

if TYPE_CHECKING:
    import pyarrow as pa

ERROR_KEY = "rag_error"
"""The type of the error behind a failed step."""
IN_A_ROW_KEY = "rag_num_superseded_in_a_row"
GATE = "recall_gate"
"""The check that blocks. All others only warn."""
ASSET_GROUP = "knowledge_base"
OWNERS = ["team:knowledge-base"]

# Retries are for parts that may answer later: a source, an embedder, a vector store. Refusals, verdicts, refused keys, missing
# folders and errors of the program itself are never retried.
_MAX_RETRIES = 2
_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class AssetStep:
    """One step of a run, with access to the artifacts of that run.

    Attributes:
        run_ids: this run, then the runs it retries, latest first.
        lease: see `lease_renewed`.
    """

    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext
    run_ids: tuple[str, ...]
    knowledge_base: KnowledgeBase
    lease: HeldLease

    @property
    def run_id(self) -> str:
        return self.run_ids[0]

    def read(self, asset: str) -> Artifact:
        return self.knowledge_base.artifacts.find(asset, self.run_ids)

    def write(
        self, asset: str, schema: "pa.Schema", header: Header
    ) -> "AbstractContextManager[tuple[ArtifactWriter, dict[str, Any]]]":
        return self.knowledge_base.artifacts.write(asset, self.run_id, schema, header)

    def end_refresh(self, outcome: Outcome, generation: str, message: str = "") -> None:
        """Record the outcome and release the lease. With one process per step, no process sees the end of the run.

        Args:
            generation: the candidate.
            message: the reason for a failure.
        """
        step = self.context.op_execution_context.op.name
        outcomes = _outcomes(self.knowledge_base)
        outcomes.put(outcome, step, self.run_id, generation=generation, message=message)
        tag_run(self.context.instance, self.run_id, outcome=outcome)
        self.knowledge_base.failures.forget_superseded()
        self.lease.release()

    def artifact_metadata(self, asset: str) -> dict[str, Any]:
        """Return path, rows and columns of the artifact just written."""
        return artifact_metadata(self.read(asset))

    def materialized(
        self,
        data_version: str,
        metadata: Mapping[str, Any],
        check_results: Sequence[dg.AssetCheckResult] = (),
    ) -> dg.MaterializeResult[Any]:
        """Return the result of an asset, and log it as a sentence.

        Args:
            check_results: of the checks that the asset itself evaluates.
        """
        step = self.context.op_execution_context.op.name
        Observer(self.knowledge_base).add_numbers(self.run_id, step, metadata)
        metadata = shown(metadata)
        self.context.log.info(sentence(step, metadata))
        selected = {
            key.name for key in self.context.selected_asset_check_keys
        }  # none, in a job without checks
        return dg.MaterializeResult(
            data_version=dg.DataVersion(data_version),
            metadata=metadata,
            check_results=[one for one in check_results if one.check_name in selected],
        )


@contextmanager
def asset_step(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    knowledge_base: KnowledgeBase,
    *,
    begins_refresh: bool = False,
) -> Generator[AssetStep]:
    """Run the body of an asset with its lease renewed, and translate our errors for Dagster.

    Args:
        begins_refresh: take the lease first, after waiting for any other running refresh.

    Raises:
        dg.RetryRequested: the error is transient, and retries are left.
        dg.Failure: any other error of ours. Its description is the message of that error.
    """
    with (
        secrets_hidden(),
        logged_in_run(context.log, context.instance),
        run_recorded(context, knowledge_base),
        _asset_step(context, knowledge_base, begins_refresh=begins_refresh) as step,
    ):
        yield step


@contextmanager
def _asset_step(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    knowledge_base: KnowledgeBase,
    *,
    begins_refresh: bool,
) -> Generator[AssetStep]:
    run_id = context.run.run_id
    step = context.op_execution_context.op.name
    if isinstance(context, dg.AssetExecutionContext) and not context.selected_asset_keys:
        raise dg.Failure(
            f"the checks of {step} are evaluated with it: materialize {step}, and the assets below it",
            allow_retries=False,
        )
    knowledge_base.use_for_run(run_id)
    try:
        if begins_refresh:
            knowledge_base.failures.forget()
            _outcomes(knowledge_base).forget()
            aside = knowledge_base.vector_store.set_aside_unreadable()
            if aside:
                context.log.warning(
                    "the vector store was unreadable; this refresh rebuilds it. The old files are in %s",
                    aside,
                )
            wait_for_lease(knowledge_base.ledger, run_id)
            tag_run(context.instance, run_id, had_lease="yes")
            Observer(knowledge_base).begin_refresh(run_id, step)
            held = knowledge_base.vector_store.production_state().hold_in_words
            if held:
                context.log.warning("%s. This refresh builds and evaluates a candidate, and it waits", held)
        in_process = knowledge_base.settings.executor == "in_process"
        with lease_renewed(
            knowledge_base.ledger,
            run_id,
            process_outlives_step=in_process,
            was_held=begins_refresh or knowledge_base.artifacts.has("raw_documents", run_id),
            is_retried=lambda error: _is_retried(context, error),
        ) as lease:
            yield AssetStep(context, _run_ids(context), knowledge_base, lease)
        knowledge_base.failures.forget(step)
        _outcomes(knowledge_base).forget_failure(step, run_id)
    except RagAssetsError as error:
        outcome = outcome_of(error)
        superseded = outcome is Outcome.SUPERSEDED
        if _is_retried(context, error):
            context.log.warning("%s; retrying in %d s", error, _RETRY_SECONDS)
            raise dg.RetryRequested(_MAX_RETRIES, _RETRY_SECONDS) from error
        message = str(error)
        metadata: dict[str, str | int] = {OUTCOME_KEY: outcome.value, ERROR_KEY: type(error).__name__}
        if superseded:
            num_in_a_row = knowledge_base.failures.count_superseded(run_id)
            metadata[IN_A_ROW_KEY] = num_in_a_row
            if num_in_a_row >= SUPERSEDED_IN_A_ROW:
                runs = counted(num_in_a_row, "refresh", "refreshes")
                message = f"{runs} in a row ended superseded. The last one: {message}"
                knowledge_base.failures.put(step, run_id, message)
            _outcomes(knowledge_base).put(outcome, step, run_id, message=str(error))
        else:
            record_failure(knowledge_base.failures.folder, outcome, step, run_id, message)
        tag_run(context.instance, run_id, outcome=outcome)
        # Dagster's console prints the traces of the whole chain, twice. The message of a verdict or a refusal is complete.
        cause = error if isinstance(error, TransientError) and not superseded else None
        raise dg.Failure(message, metadata=metadata, allow_retries=False) from cause
    except Exception as error:
        # Its message may quote a document, so only its type is kept here.
        message = f"unexpected {type(error).__name__}; see the log of the run in the Dagster UI"
        tag_run(context.instance, run_id, outcome=outcome_of(error))
        record_failure(knowledge_base.failures.folder, outcome_of(error), step, run_id, message)
        raise


def _is_retried(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, error: BaseException
) -> bool:
    may_recover = (
        isinstance(error, TransientError)
        and not error.lasting
        and outcome_of(error) is not Outcome.SUPERSEDED
    )
    return may_recover and context.retry_number < _MAX_RETRIES


def _outcomes(knowledge_base: KnowledgeBase) -> OutcomeRecord:
    return OutcomeRecord(knowledge_base.failures.folder)


def _run_ids(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[str, ...]:
    run_ids = [context.run.run_id]
    run = context.run
    while run is not None and run.parent_run_id is not None and run.parent_run_id not in run_ids:
        run_ids.append(run.parent_run_id)
        run = context.instance.get_run_by_id(run.parent_run_id)
    return tuple(run_ids)

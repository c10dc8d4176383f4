"""`rag-assets refresh`: the whole refresh for a person, from the first line to the next command.

The run executes in a process of its own, `python -m rag_assets.defs.runs`. So the first line does not wait for Dagster, no
other tool writes between the lines, and Ctrl-C reaches only this process.
"""

import argparse
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict

from rag_assets.alerts.run_facts import NOT_BEGUN
from rag_assets.artifacts.last_outcome import OutcomeRecord, record_failure
from rag_assets.cli.exit_codes import exit_code_of
from rag_assets.cli.refresh_lines import RefreshLines
from rag_assets.cli.run_process import RunProcess
from rag_assets.cli.screen import Screen
from rag_assets.cli.terminal import say_json
from rag_assets.environment import colors_wanted, moves_cursor
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome
from rag_assets.refresh.result import RefreshResult, add_production
from rag_assets.text.wording import counted
from rag_assets.time_limits import NothingCame, within

_PRODUCTION_SECONDS = 1.0


def refresh(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Refresh, and return the exit code of the outcome."""
    started_at = time.monotonic()
    # With --json, the object alone goes to standard output.
    stream = sys.stderr if options.json else sys.stdout
    lines = RefreshLines(Screen(stream, plain=not moves_cursor(), colored=colors_wanted()))
    with RunProcess(knowledge_base.settings.home, verbose=options.verbose) as process:
        lines.begin(knowledge_base.settings, production_in_words(knowledge_base))
        result = process.follow(lines.show, lines.tick)
    if not process.has_recorded_end:
        _end_without_dagster(knowledge_base, result)
        if result.outcome is Outcome.FAILED:
            from rag_assets.cli.unstarted import tell_unstarted

            tell_unstarted(result.reason, knowledge_base, result.run_id)
    seconds = time.monotonic() - started_at
    lines.end(result, seconds, cost_is_known=process.has_recorded_end)
    code = exit_code_of(result.outcome, degraded=result.is_degraded)
    if options.json:
        answer = {**asdict(result), "seconds": round(seconds, 1), "exit_code": int(code)}
        say_json(answer, indent=None)
    return code


def _end_without_dagster(knowledge_base: KnowledgeBase, result: RefreshResult) -> None:
    """Complete a result that Dagster has not recorded: `status` reads no history of Dagster."""
    add_production(result, knowledge_base)
    if not result.run_id:  # nothing has read or changed production
        result.production_before = result.production
    else:
        result.cost_usd = None
        with suppress(RagAssetsError):
            knowledge_base.ledger.release_lease(result.run_id)
    recorded = OutcomeRecord(knowledge_base.failures.folder).get()
    if recorded is not None and result.run_id == recorded.run_id != "":
        # By a step, before Dagster's storage went away.
        result.notes.append(f"Dagster has no record of the end of this run. {result.reason}")
        result.outcome, result.reason = Outcome(recorded.outcome), recorded.message
    elif result.outcome is Outcome.FAILED:
        record_failure(
            knowledge_base.failures.folder, result.outcome, "refresh", result.run_id, result.reason
        )
        _record_for_tables(knowledge_base, result)


def _record_for_tables(knowledge_base: KnowledgeBase, result: RefreshResult) -> None:
    # Imported here: the first line of a refresh is not to wait for them.
    from rag_assets.tracking.composition import RunEnd
    from rag_assets.tracking.observer import Observer

    observer, run_id = Observer(knowledge_base), result.run_id or f"{NOT_BEGUN}{uuid.uuid4().hex}"
    observer.end_run(RunEnd(run_id, result.outcome, "refresh", reason=result.reason))
    result.notes.extend(observer.delays())


def production_in_words(knowledge_base: KnowledgeBase) -> str:
    """Return what serves now, in words. A server has one second to answer: the first line does not wait."""
    try:
        return within(_PRODUCTION_SECONDS, lambda: _described_production(knowledge_base))
    except NothingCame:
        return "the server has not answered yet"
    except RagAssetsError as error:
        return f"unknown, {error}"


def _described_production(knowledge_base: KnowledgeBase) -> str:
    state = knowledge_base.vector_store.production_state()
    manifest = knowledge_base.vector_store.manifest(state.production) if state.production else None
    if state.production is None:
        return "nothing yet"
    size = f" ({counted(manifest.documents_count, 'document')})" if manifest else ""
    return f"{state.production}{size}" + (", held" if state.hold else "")

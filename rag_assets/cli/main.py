"""The `rag-assets` command: its dispatch, its errors (one line each) and its exit codes.

A command imports its own modules when it runs. So `--help` is instant, and `search` loads no parser.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from rag_assets.cli.options import parser
from rag_assets.errors import RagAssetsError, RefusedError

if TYPE_CHECKING:
    import argparse

    from rag_assets.knowledge_base import KnowledgeBase

EFFECTS: dict[str, Literal["reads", "searches", "refreshes", "changes", "writes"]] = {
    "refresh": "refreshes",
    "search": "searches",
    "mcp": "searches",
    "status": "reads",
    "plan": "reads",
    "quarantine": "reads",
    "quarantine --retry": "changes",
    "trace": "reads",
    "show": "reads",
    "diff": "reads",
    "settings": "reads",
    "metrics": "reads",
    "export": "reads",
    "doctor": "reads",
    "rollback": "changes",
    "resume": "changes",
    "approve": "changes",
    "benchmark draft": "writes",
    "benchmark accept": "writes",
    "benchmark pin": "changes",
    "benchmark unpin": "changes",
    "backup": "reads",
    "restore": "writes",
    "purge": "changes",
}
"""The effect of each command on the knowledge base. A command without one does not run.

`searches` opens the vector store only, and needs no read-only ledger to create nothing. `refreshes` writes in a process of
its own, and only reads here. `changes` needs an existing knowledge base.
"""
_EXITING_BY_REASON = frozenset({"backup", "restore", "purge"})
"""Commands that tell a refusal from a failure."""
_WITHOUT_LEDGER = frozenset({"show", "diff", "trace"})
"""Reports from the vector store and the artifacts, that take what they can from a ledger."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = parser().parse_args(arguments)
    if not options.command:
        options.print_help()
        return 0
    if options.command == "completion":
        from rag_assets.cli.completion import print_script

        return print_script()
    if options.command == "quarantine" and options.retry is not None:
        options.command = "quarantine --retry"
    from rag_assets.secret_values import hide_secrets_in_logs

    hide_secrets_in_logs()
    knowledge_base: KnowledgeBase | None = None
    try:
        with _environment():
            knowledge_base = _open_knowledge_base(options.command)
            if options.command != "doctor":  # doctor reports them in a line of its own
                for sentence in knowledge_base.unread_variables():
                    _complain(sentence)
            if options.command in _WITHOUT_LEDGER:
                from rag_assets.inspection.read_only import go_on_without_ledger

                if problem := go_on_without_ledger(knowledge_base):
                    _complain(f"{problem}. Shown without the ledger")
            return _run(knowledge_base, options)
    except RagAssetsError as error:
        if getattr(options, "nagios", False):
            return _say_to_monitor(error)
        _complain(str(error))
        if options.command == "refresh" and knowledge_base is None:
            from rag_assets.cli.unstarted import tell_malformed

            tell_malformed(error)
        if options.command in _EXITING_BY_REASON:
            from rag_assets.cli.exit_codes import exit_code_of_error

            return exit_code_of_error(error)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror or type(error).__name__}{where}")
        return 1
    finally:
        if knowledge_base is not None:
            knowledge_base.close()


@contextmanager
def _environment() -> Generator[None]:
    """Name the variables with two values, and export those of `.env`."""
    from rag_assets.effective_settings import difference_lines
    from rag_assets.environment import read_environment

    environment = read_environment()
    for sentence in difference_lines(environment):
        _complain(sentence)
    with environment.exported():
        yield


def _complain(message: str) -> None:
    from rag_assets.cli.terminal import complain

    complain(message)


def _say_to_monitor(error: RagAssetsError) -> int:
    from rag_assets.cli.health import nagios_error
    from rag_assets.cli.terminal import say
    from rag_assets.text.control_characters import one_line

    line, code = nagios_error(error)
    say(one_line(line))
    return code


def _open_knowledge_base(command: str) -> KnowledgeBase:
    """Open the knowledge base. Only a command that changes something may create folders and files.

    Raises:
        RefusedError: there is nothing to change.
    """
    import logging

    from rag_assets import progress
    from rag_assets.cli.terminal import OneLineFormatter
    from rag_assets.settings import load_settings

    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(OneLineFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[to_stderr])
    logging.getLogger(progress.__name__).setLevel(logging.INFO)  # progress lines
    effect = EFFECTS[command]
    if effect in ("reads", "refreshes"):
        from rag_assets.inspection.read_only import ReadOnlyKnowledgeBase

        return ReadOnlyKnowledgeBase(load_settings())
    from rag_assets.knowledge_base import KnowledgeBase

    knowledge_base = KnowledgeBase(load_settings())
    if effect == "changes" and knowledge_base.vector_store.find_knowledge_base_id() is None:
        raise RefusedError(f"there is no {knowledge_base.place}: nothing was refreshed there yet")
    return knowledge_base


def _run(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    match options.command:
        case "refresh":
            from rag_assets.cli.refresh import refresh as run
        case "search":
            from rag_assets.cli.search import search as run
        case "status" | "plan" | "quarantine" | "diff" | "trace" | "settings":
            from rag_assets.cli.reports import report as run
        case "quarantine --retry":
            from rag_assets.cli.quarantine import retry as run
        case "show":
            from rag_assets.cli.show import show as run
        case "mcp":
            from rag_assets.cli.mcp_server import mcp as run
        case "metrics":
            from rag_assets.cli.metrics_exporter import metrics as run
        case "doctor":
            from rag_assets.cli.doctor import doctor as run
        case "rollback":
            from rag_assets.cli.production import rollback as run
        case "resume":
            from rag_assets.cli.production import resume as run
        case "approve":
            from rag_assets.cli.production import approve as run
        case "backup":
            from rag_assets.cli.backup import backup as run
        case "restore":
            from rag_assets.cli.backup import restore as run
        case "purge":
            from rag_assets.cli.purge import purge as run
        case "export":
            from rag_assets.cli.production import export as run
        case "benchmark draft":
            from rag_assets.cli.benchmark import draft as run
        case "benchmark accept":
            from rag_assets.cli.benchmark import accept as run
        case "benchmark pin":
            from rag_assets.cli.benchmark import pin as run
        case "benchmark unpin":
            from rag_assets.cli.benchmark import unpin as run
        case _:
            raise AssertionError(f"no function for the command {options.command!r}")
    return run(knowledge_base, options)


if __name__ == "__main__":
    sys.exit(main())

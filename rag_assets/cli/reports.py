"""The reports: `rag-assets status`, `plan`, `quarantine`, `diff`, `settings` and `trace`."""

import argparse
from collections.abc import Callable
from typing import Any

from rag_assets.cli.terminal import in_lines, say, say_json, say_text
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.text.control_characters import one_line

_Report = dict[str, Any]


def report(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print the report of the command, as JSON, as text or as one line. Return the exit code for what it found."""
    found, describe = _inspected(knowledge_base, options)
    if options.command == "status" and options.nagios:
        from rag_assets.cli.health import health, nagios_line

        line, code = nagios_line(health(found))
        say(one_line(line))
        return code
    if options.json:
        say_json(found)
    else:
        say_text(describe(in_lines(found)))
    match options.command:
        case "status":
            from rag_assets.cli.health import health

            return health(found).code
        case "plan":
            from rag_assets.cli.health import plan_code

            return plan_code(found)
        case _:
            return 1 if found.get("outcome") == "unknown" else 0


def _inspected(
    knowledge_base: KnowledgeBase, options: argparse.Namespace
) -> tuple[_Report, Callable[[_Report], str]]:
    """Return the report, and the function to describe it."""
    match options.command:
        case "status":
            from rag_assets.inspection import status

            return status.status(knowledge_base), status.describe
        case "plan":
            from rag_assets.inspection import plan

            return plan.plan(knowledge_base.settings), plan.describe
        case "quarantine":
            from rag_assets.inspection import quarantine

            return quarantine.quarantine(knowledge_base), quarantine.describe
        case "settings":
            from rag_assets.inspection import settings

            return settings.settings(knowledge_base), settings.describe
        case "diff":
            from rag_assets.inspection import diff

            return diff.diff(knowledge_base, options.generation), diff.describe
        case _:
            from rag_assets.inspection import trace

            return trace.trace(knowledge_base, options.name), trace.describe

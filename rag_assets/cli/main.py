"""The `rag-assets` command: its arguments, its errors (one line each) and its exit codes.

A command imports its own modules when it runs, so that `--help` is instant and `search` loads no parser.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag_assets.errors import RagAssetsError

if TYPE_CHECKING:
    from rag_assets.knowledge_base import KnowledgeBase


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    knowledge_base: KnowledgeBase | None = None
    try:
        knowledge_base = _open_knowledge_base()
        if options.command != "doctor":  # it has a line for them
            for sentence in knowledge_base.unread_variables():
                print(f"rag-assets: {sentence}", file=sys.stderr)
        return _run(knowledge_base, options)
    except RagAssetsError as error:
        print(f"rag-assets: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"rag-assets: {error.strerror or type(error).__name__}{where}", file=sys.stderr)
        return 1
    finally:
        if knowledge_base is not None:
            knowledge_base.close()


def _open_knowledge_base() -> KnowledgeBase:
    import logging

    from rag_assets import progress
    from rag_assets.knowledge_base import KnowledgeBase
    from rag_assets.settings import load_settings

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger(progress.__name__).setLevel(logging.INFO)  # a line now and then, if it takes long
    return KnowledgeBase(load_settings())


def _run(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    match options.command:
        case "search":
            from rag_assets.cli.search import search as run
        case "status" | "plan" | "quarantine" | "trace":
            from rag_assets.cli.reports import report as run
        case "doctor":
            from rag_assets.cli.doctor import doctor as run
        case "rollback":
            from rag_assets.cli.production import rollback as run
        case "resume":
            from rag_assets.cli.production import resume as run
        case "approve":
            from rag_assets.cli.production import approve as run
        case "export":
            from rag_assets.cli.production import export as run
        case "benchmark draft":
            from rag_assets.cli.benchmark import draft as run
        case "benchmark accept":
            from rag_assets.cli.benchmark import accept as run
        case _:
            raise AssertionError(f"the parser knows the command {options.command!r}, and nothing runs it")
    return run(knowledge_base, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rag-assets", description="Ask and look after the knowledge base.")
    parser.add_argument("--version", action=_Version, help="show program's version number and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=name)
        return sub

    search = command("search", "Ask production a question.")
    search.add_argument("question")
    search.add_argument("--limit", type=_positive, default=5, help="most hits (default 5)")
    search.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="only hits where FIELD is VALUE; also FIELD=A,B (any of), FIELD=A* (prefix), FIELD>=V, FIELD<V …; repeatable",
    )
    status = command("status", "What serves, what was last done, what is quarantined.")
    plan = command("plan", "What a refresh would do now, and cost; nothing is written.")
    quarantine = command("quarantine", "Every document that cannot be used now, and why.")
    trace = command("trace", "What became of a document or a point, and why.")
    trace.add_argument(
        "name", metavar="DOCUMENT|POINT", help="id, URI, path or unique filename of a document; id of a point"
    )
    for one in (search, status, plan, quarantine, trace):
        one.add_argument("--json", action="store_true", help="one JSON object")
    command("rollback", "Put the previous generation back into production and hold it there.")
    command("resume", "Lift the hold of a rollback: the next passing refresh is promoted again.")
    command("approve", "Let one refused set of deletions through, once.").add_argument("token")
    export = command("export", "Print every chunk in production, one JSON object a line and location.")
    export.add_argument("--vectors", action="store_true", help="with vectors")
    check = command("doctor", "What is configured, and whether it answers.")
    check.add_argument("--deep", action="store_true", help="read and check every point of production")
    benchmark = commands.add_parser(
        "benchmark", help="Make the questions that the gate asks."
    ).add_subparsers(required=True, metavar="COMMAND")
    draft = benchmark.add_parser("draft", help="Write a starting benchmark from your own documents.")
    draft.add_argument("--questions", type=_positive, default=60, help="most questions (default 60)")
    draft.set_defaults(command="benchmark draft")
    accept = benchmark.add_parser("accept", help="Put the draft in force.")
    accept.set_defaults(command="benchmark accept")
    return parser


class _Version(argparse.Action):
    """Prints the version and exits. argparse's own action would look it up for every command."""

    def __init__(self, option_strings: Sequence[str], dest: str, **arguments: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **arguments)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata

        try:
            version = metadata.version("rag-assets")
        except metadata.PackageNotFoundError:  # run from a folder that was cloned and never installed
            version = "(not installed)"
        print(f"rag-assets {version}")
        parser.exit()


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number


if __name__ == "__main__":
    sys.exit(main())

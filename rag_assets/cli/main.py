"""The `rag-assets` command: its arguments, its errors (one line each) and its exit codes.

A command imports its own modules when it runs. So `--help` is instant, and `search` loads no parser.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag_assets.errors import RagAssetsError

if TYPE_CHECKING:
    from rag_assets.knowledge_base import KnowledgeBase

_FILTERS = """\
filters:
  FIELD=VALUE            equal
  FIELD=A,B              any of these values
  FIELD=PREFIX*          begins with
  FIELD>=VALUE           range, also with >, < and <=, for numbers and for dates in ISO 8601

fields:
  text                   document_id, source, source_uri, path, filename, title, access, heading_path, flags,
                         content_hash, embedding_model, refresh_id
  number                 chunk_index, total_chunks, token_count
  date                   modified_at, indexed_at

example:
  rag-assets search "parental leave" --filter 'path=hr/*' --filter 'modified_at>=2026-01-01'
"""
# A test compares the fields with those that the vector stores index, which --help does not import.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    knowledge_base: KnowledgeBase | None = None
    try:
        knowledge_base = _open_knowledge_base()
        if options.command != "doctor":  # doctor reports them in a line of its own
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
    logging.getLogger(progress.__name__).setLevel(logging.INFO)  # progress lines
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
            raise AssertionError(f"no function for the command {options.command!r}")
    return run(knowledge_base, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rag-assets", description="Search and operate the knowledge base.")
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, summary: str, **more: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, **more)
        sub.set_defaults(command=name)
        return sub

    search = command(
        "search",
        "Search production.",
        epilog=_FILTERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    search.add_argument("question", help="question or keywords to search for")
    search.add_argument(
        "--limit", type=_positive, default=5, metavar="N", help="maximum number of hits (default: 5)"
    )
    search.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="only hits that match; see below; may be repeated, and all filters must match",
    )
    status = command("status", "Show production, the last refresh and its problems.")
    plan = command("plan", "Show the changes and the cost of the next refresh. Writes nothing.")
    quarantine = command("quarantine", "List every quarantined document with its reason.")
    trace = command("trace", "Explain the state and history of a document or a point.")
    trace.add_argument(
        "name",
        metavar="DOCUMENT|POINT",
        help="id, URI, path or unique filename of a document, or id of a point",
    )
    for one in (search, status, plan, quarantine, trace):
        one.add_argument("--json", action="store_true", help="print one JSON object")
    command("rollback", "Restore the previous generation and hold it in production.")
    command("resume", "Lift the hold of a rollback. The next refresh to pass the gate is promoted again.")
    approve = command("approve", "Allow one refused set of deletions, once.")
    approve.add_argument("token", help="16 hexadecimal digits from the message of the refusal")
    export = command("export", "Print every chunk in production, one JSON object per line and location.")
    export.add_argument("--vectors", action="store_true", help="include the vectors")
    check = command("doctor", "Check the configuration, and whether each part answers.")
    check.add_argument("--deep", action="store_true", help="also read and check every point in production")
    questions = command("benchmark", "Write the questions of the gate.")
    benchmark = questions.add_subparsers(required=True, metavar="COMMAND")
    draft = benchmark.add_parser(
        "draft",
        help="Draft questions from your documents.",
        description="Draft questions from your documents. Writes them beside RAG_BENCHMARK_FILE, into "
        "benchmark.draft.jsonl if that is benchmark.jsonl. The benchmark itself changes only with `benchmark accept`.",
    )
    draft.add_argument(
        "--questions",
        type=_positive,
        default=60,
        metavar="N",
        help="maximum number of questions (default: 60)",
    )
    draft.set_defaults(command="benchmark draft")
    accept = benchmark.add_parser(
        "accept",
        help="Replace the benchmark with the draft.",
        description="Replace RAG_BENCHMARK_FILE with the draft. The previous benchmark stays beside it, in "
        "benchmark.before.jsonl if the file is benchmark.jsonl.",
    )
    accept.set_defaults(command="benchmark accept")
    return parser


class _Version(argparse.Action):
    """Prints the version and exits. The action of argparse itself would look up the version for every command."""

    def __init__(self, option_strings: Sequence[str], dest: str, **arguments: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **arguments)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata

        try:
            version = metadata.version("rag-assets")
        except metadata.PackageNotFoundError:  # run from a clone, not installed
            version = "(not installed)"
        print(f"rag-assets {version}")
        parser.exit()


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())

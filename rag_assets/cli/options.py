"""The arguments of every command, and their help.

All commands are declared here, so that `--help` imports nothing else.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

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

metadata of documents:
  metadata.KEY           text, number, date, or true and false, as the documents have it. See docs/metadata.md.
"""
_OUTCOMES = """\
The run is recorded in Dagster, as any other. Ctrl-C cancels it, and production is unchanged.

exit codes:
  0    live, or unchanged
  1    failed
  2    invalid arguments
  3    blocked by the gate
  4    refused: it waits for an approval, or breaks a rule
  5    held by a rollback
  6    superseded by another refresh
  7    live, but degraded: a source is down, or documents are quarantined
  130  canceled
"""
# A test compares the fields with those that the vector stores index, which --help does not import.

_GENERATION = (
    "ask another generation: its name, previous, held, or candidate (the latest one, such as one that failed the gate, if "
    "RAG_KEEP_FAILED_CANDIDATE is true)"
)


_EXAMPLES = {
    "": (
        "rag-assets refresh",
        'rag-assets search "how many days of vacation do I get?"',
        "rag-assets status",
        "rag-assets search --help",
    ),
    "refresh": ("rag-assets refresh", "rag-assets refresh --json > result.json"),
    "search": (
        'rag-assets search "parental leave" --limit 10',
        "rag-assets search \"parental leave\" --filter 'path=hr/*' --filter 'modified_at>=2026-01-01'",
        "rag-assets search \"parental leave\" --filter 'metadata.year>=2024' --filter metadata.department=HR",
        'rag-assets search "parental leave" --generation previous',
    ),
    "status": ("rag-assets status", "rag-assets status --json"),
    "plan": ("rag-assets plan", "rag-assets plan --json > plan.json"),
    "show": ("rag-assets show hr/handbook.pdf", "rag-assets show handbook.pdf --generation candidate"),
    "diff": ("rag-assets diff", "rag-assets diff candidate --json > differences.json"),
    "trace": ("rag-assets trace hr/handbook.pdf", "rag-assets trace 6f0d7a3e-0d4c-4b43-8f59-1d1f5f0c7a11"),
    "quarantine": (
        "rag-assets quarantine",
        "rag-assets quarantine --retry",
        "rag-assets quarantine --retry scan.pdf hr/old.docx",
    ),
    "rollback": ('rag-assets rollback --reason "wrong prices since noon"',),
    "resume": ('rag-assets resume --reason "prices are right again"',),
    "approve": ('rag-assets approve 0123456789abcdef --reason "the wiki was closed"',),
    "export": ("rag-assets export > chunks.jsonl", "rag-assets export --vectors > points.jsonl"),
    "backup": (
        "rag-assets backup /backups/2026-11-30",
        "rag-assets backup s3://company-backups/knowledge-base/2026-11-30",
    ),
    "restore": (
        "rag-assets restore /backups/2026-11-30",
        "rag-assets restore s3://company-backups/knowledge-base/2026-11-30",
        'rag-assets restore /backups/2026-11-29 --into-living knowledge_base --reason "yesterday was right"',
    ),
    "purge": (
        'rag-assets purge hr/old_contract.pdf --reason "request of 2026-11-12"',
        "rag-assets purge --list",
        "rag-assets purge --lift hr/old_contract.pdf",
    ),
    "mcp": ("rag-assets mcp", "rag-assets mcp --http", "rag-assets mcp --http 0.0.0.0:8765"),
    "metrics": ("rag-assets metrics", "rag-assets metrics --push"),
    "settings": ("rag-assets settings", "rag-assets settings --json"),
    "doctor": ("rag-assets doctor", "rag-assets doctor --deep", "rag-assets doctor --send-test-alert"),
    "benchmark": ("rag-assets benchmark draft", "rag-assets benchmark accept"),
    "benchmark draft": ("rag-assets benchmark draft --questions 100",),
    "benchmark accept": ("rag-assets benchmark accept", "rag-assets benchmark accept --deleted"),
    "benchmark pin": ("rag-assets benchmark pin",),
    "benchmark unpin": ("rag-assets benchmark unpin",),
    "completion": ("rag-assets completion bash > ~/.local/share/bash-completion/completions/rag-assets",),
}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Fills a description, and leaves the lines of an epilog as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = 14  # argparse forgets the indent of the names of commands

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class _Parser(argparse.ArgumentParser):
    """Escapes the control characters of wrong arguments in its messages."""

    def error(self, message: str) -> NoReturn:
        from rag_assets.text.control_characters import one_line

        super().error(one_line(message))


def _epilog(name: str, more: str = "") -> str:
    examples = "".join(f"  {example}\n" for example in _EXAMPLES.get(name, ()))
    return f"{more}\nexamples:\n{examples}" if more else f"examples:\n{examples}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. Without a command, `command` is "" and `print_help` prints the help."""
    return parsers()[""]


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return command -> its parser. That of "" has all commands."""
    root = _Parser(
        prog="rag-assets",
        description="Search and operate the knowledge base.",
        epilog=_epilog(""),
        formatter_class=_Formatter,
    )
    root.set_defaults(command="", print_help=root.print_help)
    root.add_argument("--version", action=_Version, help="show the version and exit")
    commands = root.add_subparsers(title="commands", metavar="COMMAND")
    found: dict[str, argparse.ArgumentParser] = {"": root}

    def command(
        name: str, summary: str, more: str = "", description: str = "", within: Any = commands
    ) -> argparse.ArgumentParser:
        sub = within.add_parser(
            name.rpartition(" ")[2],
            help=summary,
            description=description or summary,
            epilog=_epilog(name, more),
            formatter_class=_Formatter,
        )
        sub.set_defaults(command=name)
        found[name] = sub
        return sub

    refresh = command(
        "refresh",
        "Refresh the knowledge base: read the sources, embed the changes, measure the candidate, switch to it.",
        _OUTCOMES,
    )
    refresh.add_argument("--verbose", action="store_true", help="also print Dagster's log, to standard error")
    search = command("search", "Search production.", _FILTERS)
    search.add_argument("question", metavar="QUESTION", help="question or keywords to search for")
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
    search.add_argument(
        "--generation",
        metavar="NAME",
        help=_GENERATION,
    )
    status = command("status", "Show production, the last refresh and its problems.")
    status.add_argument(
        "--nagios",
        action="store_true",
        help="print one line for a monitor, and exit with 0 (OK) to 3 (UNKNOWN)",
    )
    plan = command("plan", "Show the changes and the cost of the next refresh. Writes nothing.")
    quarantine = command("quarantine", "List every quarantined document with its reason.")
    quarantine.add_argument(
        "--retry",
        nargs="*",
        type=_document,
        metavar="DOCUMENT",
        help="forget why these documents are quarantined, all if none is named, so that the next refresh reads them again "
        "even if they are unchanged; a paid model is asked again",
    )
    trace = command("trace", "Explain the state and history of a document or a point.")
    trace.add_argument(
        "name",
        type=_document,
        metavar="DOCUMENT|POINT",
        help="id, URI, path or unique filename of a document, or id of a point",
    )
    show = command("show", "Show one document: its chunks with text, its locations, its history in short.")
    show.add_argument(
        "name", type=_document, metavar="DOCUMENT", help="id, URI, path or unique filename of a document"
    )
    show.add_argument("--generation", metavar="NAME", help=_GENERATION)
    diff = command(
        "diff", "Show the documents and chunks that differ between production and another generation."
    )
    diff.add_argument(
        "generation",
        nargs="?",
        metavar="GENERATION",
        help="its name, previous, held, or candidate (default: the first of these that exists)",
    )
    settings = command("settings", "Show every setting in effect, with its origin.")
    for one in (refresh, show, diff, search, status, plan, quarantine, trace, settings):
        one.add_argument("--json", action="store_true", help="print one JSON object")
    rollback = command("rollback", "Restore the previous generation and hold it in production.")
    resume = command(
        "resume", "Lift the hold of a rollback. The next refresh to pass the gate goes live again."
    )
    approve = command("approve", "Allow one refused set of deletions, or one refused rebuild, once.")
    approve.add_argument(
        "token", metavar="TOKEN", help="16 hexadecimal digits from the message of the refusal"
    )
    for one in (rollback, resume, approve):
        one.add_argument("--reason", metavar="TEXT", help="why, recorded and shown (maximum: 500 characters)")
        one.add_argument("--by", metavar="NAME", help="who decides (default: the user of this system)")
    export = command("export", "Print every chunk in production, one JSON object per line and location.")
    export.add_argument("--vectors", action="store_true", help="include the vectors")
    backup = command(
        "backup",
        "Write a backup of the knowledge base into a folder or S3 prefix. Production keeps serving.",
        description="Write vectors, texts, ledger, benchmark, hold and purged documents, all of one moment, also while a "
        "refresh runs. The backup holds document text, and no key or password. It names what it does not hold.",
    )
    backup.add_argument("target", metavar="TARGET", help="new or empty folder, or s3://bucket/prefix")
    restore = command(
        "restore",
        "Restore a backup, into an empty installation or, by name, into a living one.",
        description="Restore a backup, into an empty installation or, by name, into a living one. Every file is checked "
        "before anything is changed. If it is interrupted, run it again.",
    )
    restore.add_argument("target", metavar="SOURCE", help="folder, or s3://bucket/prefix")
    restore.add_argument(
        "--into-living",
        metavar="NAME",
        help="replace production of the knowledge base of this name. The old production becomes the previous generation",
    )
    same = restore.add_mutually_exclusive_group()
    same.add_argument(
        "--same-id",
        action="store_true",
        help="the original is gone, and this one takes its place: use its keys in Redis",
    )
    same.add_argument(
        "--new-id",
        action="store_true",
        help="for a copy beside the original: give it an id of its own, so that they never share keys in Redis",
    )
    for one in (backup, restore):
        one.add_argument("--json", action="store_true", help="print one JSON object")
    restore.add_argument("--reason", metavar="TEXT", help="why, recorded (maximum: 500 characters)")
    restore.add_argument("--by", metavar="NAME", help="who decides (default: the user of this system)")
    purge = command(
        "purge",
        "Remove a document from everything that is kept, and keep it out.",
        description="Remove a document from every generation, cache, text and record, at once, and keep it out while its "
        "source still has it. The document at the source stays, and so do backups made before. If it is interrupted, run "
        "it again.",
    )
    purge.add_argument(
        "name",
        nargs="?",
        type=_document,
        metavar="DOCUMENT",
        help="id, URI, path or unique filename of a document",
    )
    purge.add_argument("--list", action="store_true", help="list the purged documents")
    purge.add_argument(
        "--lift", action="store_true", help="let a purged document in again: the next refresh reads it"
    )
    copies = purge.add_mutually_exclusive_group()
    copies.add_argument(
        "--with-copies", action="store_true", help="also purge the other documents with the same text"
    )
    copies.add_argument(
        "--keep-copies",
        action="store_true",
        help="leave the other documents with the same text, so that the text stays",
    )
    purge.add_argument(
        "--accept",
        action="store_true",
        help="go on if production without the document does not pass its gate",
    )
    purge.add_argument("--json", action="store_true", help="print one JSON object")
    purge.add_argument("--reason", metavar="TEXT", help="why, recorded (maximum: 500 characters)")
    purge.add_argument("--by", metavar="NAME", help="who decides (default: the user of this system)")
    mcp = command(
        "mcp", "Serve search, documents and status to assistants, read-only (Model Context Protocol)."
    )
    mcp.add_argument(
        "--http",
        nargs="?",
        const="127.0.0.1:8765",
        metavar="HOST:PORT",
        help="serve over HTTP (default address: 127.0.0.1:8765). Without it, over stdio",
    )
    exporter = command(
        "metrics",
        "Serve the metrics to Prometheus, or push them.",
        description="Serve the metrics to Prometheus on RAG_METRICS_ADDRESS and RAG_METRICS_PORT, until it is ended. Every "
        "scrape reads the metadata tables.",
    )
    exporter.add_argument(
        "--push",
        action="store_true",
        help="push them to RAG_PUSHGATEWAY_URL once, and exit: for a machine that Prometheus does not reach",
    )
    check = command("doctor", "Check the configuration, and whether each part answers.")
    check.add_argument("--deep", action="store_true", help="also read and check every point in production")
    check.add_argument(
        "--send-test-alert", action="store_true", help="also post a test message to SLACK_WEBHOOK_URL"
    )
    questions = command("benchmark", "Write the questions of the gate.")
    questions.set_defaults(command="", print_help=questions.print_help)
    benchmark = questions.add_subparsers(title="commands", metavar="COMMAND")
    draft = command(
        "benchmark draft",
        "Draft questions from your documents.",
        description="Draft questions from your documents. Writes them beside RAG_BENCHMARK_FILE, into "
        "benchmark.draft.jsonl if that is benchmark.jsonl. The benchmark itself changes only with `benchmark accept`.",
        within=benchmark,
    )
    draft.add_argument(
        "--questions",
        type=_positive,
        default=60,
        metavar="N",
        help="maximum number of questions (default: 60)",
    )
    accept = command(
        "benchmark accept",
        "Replace the benchmark with the draft, or accept deletions.",
        description="Replace RAG_BENCHMARK_FILE with the draft. The previous benchmark stays beside it, in "
        "benchmark.before.jsonl if the file is benchmark.jsonl. With --deleted the benchmark stays as it is.",
        within=benchmark,
    )
    accept.add_argument(
        "--deleted",
        action="store_true",
        help="instead, accept that expected documents were deleted: their questions no longer count",
    )
    pin = command(
        "benchmark pin",
        "Compare each candidate with production of now.",
        description="Make production the anchor of the gate. Without a pin it is the best promoted generation.",
        within=benchmark,
    )
    for one in (accept, pin):
        one.add_argument("--by", metavar="NAME", help="who decides (default: the user of this system)")
    command(
        "benchmark unpin",
        "Compare with the best promoted generation again.",
        description="End `benchmark pin`. The anchor is the best promoted generation again.",
        within=benchmark,
    )
    completion = command("completion", "Print a script that completes commands and options in a shell.")
    completion.add_argument("shell", metavar="bash", choices=["bash"], help="the shell")
    return found


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
        from rag_assets.text.control_characters import quoted

        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a whole number of 1 or more")
    return number


def _document(name: str) -> str:
    if not name.strip():
        raise argparse.ArgumentTypeError("the name of a document is empty")
    from rag_assets.disk.file_names import typed_name

    return typed_name(name)

"""The `rag-assets` command: ask, look, go back, approve. Errors are one line and a non-zero exit."""

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rag_assets import progress
from rag_assets.cli import benchmark as benchmark_files
from rag_assets.cli.filters import parse_filters
from rag_assets.errors import ConfigurationError, RagAssetsError
from rag_assets.generations.staging import locations_of
from rag_assets.inspection import doctor, plan, quarantine, status, trace
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Point, SearchHit
from rag_assets.settings import load_settings

_SNIPPET_CHARACTERS = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger(progress.__name__).setLevel(logging.INFO)  # a line now and then, if it takes long
    options = _parser().parse_args(arguments)
    knowledge_base: KnowledgeBase | None = None
    try:
        knowledge_base = KnowledgeBase(load_settings())
        run: Callable[[KnowledgeBase, argparse.Namespace], int] = options.run
        if run is not _doctor:  # which has a line for them
            for sentence in knowledge_base.unread_variables():
                print(f"rag-assets: {sentence}", file=sys.stderr)
        return run(knowledge_base, options)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rag-assets", description="Ask and look after the knowledge base.")
    parser.add_argument("--version", action="version", version=f"rag-assets {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[KnowledgeBase, argparse.Namespace], int], summary: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    search = command("search", _search, "Ask production a question.")
    search.add_argument("question")
    search.add_argument("--limit", type=_positive, default=5, help="most hits (default 5)")
    search.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="only hits where FIELD is VALUE; also FIELD=A,B (any of), FIELD=A* (prefix), FIELD>=V, FIELD<V …; repeatable",
    )
    search.add_argument("--json", action="store_true", help="one JSON object")
    command("status", _status, "What serves, what was last done, what is quarantined.").add_argument(
        "--json", action="store_true", help="one JSON object"
    )
    command("plan", _plan, "What a refresh would do now, and cost; nothing is written.").add_argument(
        "--json", action="store_true", help="one JSON object"
    )
    command("quarantine", _quarantine, "Every document that cannot be used now, and why.").add_argument(
        "--json", action="store_true", help="one JSON object"
    )
    explain = command("trace", _trace, "What became of a document or a point, and why.")
    explain.add_argument(
        "name", metavar="DOCUMENT|POINT", help="id, URI, path or unique filename of a document; id of a point"
    )
    explain.add_argument("--json", action="store_true", help="one JSON object")
    command("rollback", _rollback, "Put the previous generation back into production and hold it there.")
    command("resume", _resume, "Lift the hold of a rollback: the next passing refresh is promoted again.")
    command("approve", _approve, "Let one refused set of deletions through, once.").add_argument("token")
    export = command(
        "export", _export, "Print every chunk in production, one JSON object a line and location."
    )
    export.add_argument("--vectors", action="store_true", help="with vectors")
    check = command("doctor", _doctor, "What is configured, and whether it answers.")
    check.add_argument("--deep", action="store_true", help="read and check every point of production")
    benchmark = commands.add_parser(
        "benchmark", help="Make the questions that the gate asks."
    ).add_subparsers(required=True, metavar="COMMAND")
    draft = benchmark.add_parser("draft", help="Write a starting benchmark from your own documents.")
    draft.add_argument("--questions", type=_positive, default=60, help="most questions (default 60)")
    draft.set_defaults(run=_benchmark_draft)
    accept = benchmark.add_parser("accept", help="Put the draft in force.")
    accept.set_defaults(run=_benchmark_accept)
    return parser


def _version() -> str:
    try:
        return version("rag-assets")
    except PackageNotFoundError:  # run from a folder that was cloned and never installed
        return "(not installed)"


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _search(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    retriever = knowledge_base.retriever()
    try:
        hits = retriever.search(options.question, options.limit, parse_filters(options.filter))
    finally:
        retriever.close()
    if options.json:
        _print_json({"query": options.question, "hits": [_hit_json(hit) for hit in hits]})
        return 0
    for rank, hit in enumerate(hits, start=1):
        print(f"{rank}. {hit.locations[0].path}  (chunk {hit.chunk_index}, score {hit.score:.3f})")
        for location in hit.locations[1:]:
            print(f"   also {location.path}")
        print(f"   {_snippet(hit.text, options.question)}\n")
    if not hits:
        print("no hits")
    return 0


def _snippet(text: str, question: str) -> str:
    """Return the part of a chunk, a few lines long, that shares most words with the question."""
    text = " ".join(text.split())
    asked = {word for word in re.findall(r"\w+", question.lower()) if len(word) > 3}
    starts = [0, *(match.end() for match in re.finditer(r"[.!?:] ", text))]

    def shared(start: int) -> int:
        return len(asked.intersection(re.findall(r"\w+", text[start : start + _SNIPPET_CHARACTERS].lower())))

    start = max(
        reversed(starts), key=shared
    )  # the last of the best: what was asked for stands near its beginning
    end = start + _SNIPPET_CHARACTERS
    return f"{'… ' if start else ''}{text[start:end].rstrip()}{' …' if end < len(text) else ''}"


def _hit_json(hit: SearchHit) -> dict[str, Any]:
    first = hit.locations[0]
    return {
        "document_id": first.document_id,
        "source": first.source,
        "source_uri": first.source_uri,
        "filename": first.filename,
        "chunk_index": hit.chunk_index,
        "score": hit.score,
        "text": hit.text,
        "id": hit.point_id,
        "content_hash": hit.content_hash,
        "flags": hit.payload.get("flags", []),  # a generation of an earlier version has none
        "locations": [location.to_payload() for location in hit.locations],
    }


def _status(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    report = status.status(knowledge_base)
    if options.json:
        _print_json(report)
    else:
        print(status.describe(report))
    return 0


def _plan(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    report = plan.plan(knowledge_base.settings)
    if options.json:
        _print_json(report)
    else:
        print(plan.describe(report))
    return 0


def _quarantine(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    report = quarantine.quarantine(knowledge_base)
    if options.json:
        _print_json(report)
    else:
        print(quarantine.describe(report))
    return 0


def _trace(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    report = trace.trace(knowledge_base, options.name)
    if options.json:
        _print_json(report)
    else:
        print(trace.describe(report))
    return 1 if report["outcome"] == trace.UNKNOWN else 0


def _rollback(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    store = knowledge_base.vector_store
    state = store.rollback(store.production_state().production)
    print(
        f"production is {state.production} again and held there; refreshes are staged and evaluated but not promoted "
        "until `rag-assets resume`"
    )
    return 0


def _resume(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    held = knowledge_base.vector_store.production_state().held
    state = knowledge_base.vector_store.resume()
    if held is None:
        print(f"nothing was held; production is {state.production or 'empty'}")
    else:
        print(f"the hold is lifted; production is {state.production}, the next passing refresh is promoted")
    return 0


def _approve(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    token = options.token.strip().lower()
    if len(token) != 16 or not all(character in "0123456789abcdef" for character in token):
        raise ConfigurationError(
            f"{options.token!r} is not a token: it has 16 hexadecimal digits, and the refusal prints it"
        )
    knowledge_base.ledger.approve(token)
    print("approved: the next refresh may delete exactly that set of documents, once")
    return 0


def _export(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    production = knowledge_base.vector_store.production_state().production
    if production is None:
        return 0
    reader = knowledge_base.vector_store.read(production)
    try:
        for batch in reader.scroll(with_vectors=options.vectors):
            for point in batch:
                for line in _export_lines(point):
                    print(json.dumps(line, ensure_ascii=False))
    finally:
        reader.close()
    return 0


def _export_lines(point: Point) -> Iterator[dict[str, Any]]:
    for location in locations_of(point.payload):
        line: dict[str, Any] = {
            "id": point.id,
            "document_id": location.document_id,
            "source": location.source,
            "source_uri": location.source_uri,
            "filename": location.filename,
            "chunk_index": point.payload["chunk_index"],
            "text": point.payload["text"],
            "content_hash": point.payload["content_hash"],
        }
        if point.vector is not None:
            line["vector"] = [float(component) for component in point.vector]
        yield line


def _doctor(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    findings = list(doctor.examine(knowledge_base, deep=options.deep))
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.part}: {finding.detail}")
    return 0 if all(finding.ok for finding in findings) else 1


def _benchmark_draft(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    path, count = benchmark_files.write_draft(knowledge_base, options.questions)
    print(f"{count} questions in {path}: look through them, then run `rag-assets benchmark accept`")
    return 0


def _benchmark_accept(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    path, count = benchmark_files.accept_draft(knowledge_base.settings.benchmark_file)
    print(f"{count} questions are in force, in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

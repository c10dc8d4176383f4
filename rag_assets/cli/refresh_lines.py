"""The lines of `rag-assets refresh`: the first one, one per step, progress in between, and the end with the next command."""

import re
import time
from typing import Any

from rag_assets.changes.change_set import changes_in_words
from rag_assets.cli.screen import Screen
from rag_assets.cli.terminal import short_path
from rag_assets.effective_settings import ledger_server_of, place_of
from rag_assets.progress import duration
from rag_assets.refresh.outcome import Outcome
from rag_assets.refresh.result import RefreshResult
from rag_assets.settings import Settings
from rag_assets.sources.declarations import source_names
from rag_assets.text.wording import counted, usd

_STEP_WIDTH = 22
_SECONDS_WIDTH = 6
_LABEL_WIDTH = 12
_PLAIN_PROGRESS_SECONDS = 10.0
_WARNING = 30  # as in logging
_PROGRESS = re.compile(r"\d/s\b|^waiting ")
_TOKEN = re.compile(r"rag-assets approve [0-9a-f]{16}")
_DRAFT = "rag-assets benchmark draft"
_COLORS = {
    Outcome.LIVE: "green",
    Outcome.UNCHANGED: "green",
    Outcome.HELD: "yellow",
    Outcome.SUPERSEDED: "yellow",
    Outcome.CANCELED: "yellow",
    Outcome.BLOCKED: "red",
    Outcome.REFUSED: "red",
    Outcome.FAILED: "red",
}


class RefreshLines:
    """Shows the reports of a run on a screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._step = ""
        self._message = "starting Dagster"
        self._since = self._shown_at = time.monotonic()

    def begin(self, settings: Settings, production: str) -> None:
        """Show the first line: knowledge base, its place, its sources, and what serves now.

        Args:
            production: in words.
        """
        # Without credentials: a URL may hold some.
        place = place_of(settings) if settings.qdrant_url else short_path(settings.state_dir)
        if ledger := ledger_server_of(settings):
            place = f"{place} (ledger in {ledger})"
        names = source_names(settings.sources, settings.sources_file)
        sources = ", ".join(
            f"{name} ({short_path(settings.documents_dir)})" if name == "filesystem" else name
            for name in names
        )
        self._screen.line(
            f"refreshing {settings.collection} in {place} from {sources}; production: {production}"
        )

    def show(self, report: dict[str, Any]) -> None:
        """Show one report of the process: see `rag_assets.defs.runs.log`."""
        now = time.monotonic()
        match report["kind"]:
            case "state":
                self._message = report["text"]
                self._screen.line(report["text"])
            case "step":
                self._step, self._message = report["step"], ""
                self._since = self._shown_at = now
            case "message" if report["level"] >= _WARNING:
                self._screen.line(report["text"], self._sign("!", "yellow"), 2)
            case "message":
                self._message = report["text"]
                self._show_progress(now)
            case "done" | "failed":
                self._show_step(report)
                self._step, self._message = "", ""
            case _:
                pass

    def tick(self) -> None:
        """Bring the live line up to date."""
        seconds = duration(time.monotonic() - self._since)
        what = f"{self._step:<{_STEP_WIDTH}}" if self._step else ""
        self._screen.live(f"{self._screen.sign('·', '.')} {what}{seconds:>{_SECONDS_WIDTH}}  {self._message}")

    def _show_progress(self, now: float) -> None:
        """Write progress into a pipe, now and then. Other messages are shown by the end of the step."""
        is_due = now - self._shown_at >= _PLAIN_PROGRESS_SECONDS
        if is_due and not self._screen.is_terminal and _PROGRESS.search(self._message):
            self._shown_at = now
            self._screen.line(
                f"  {self._step:<{_STEP_WIDTH}}{duration(now - self._since):>{_SECONDS_WIDTH}}  {self._message}"
            )

    def _show_step(self, report: dict[str, Any]) -> None:
        if report.get("warns"):
            sign = self._sign("!", "yellow")
        elif report["kind"] == "failed":
            sign = self._sign(self._screen.sign("✗", "x"), "red")
        else:
            sign = self._sign(self._screen.sign("✓", "+"), "green")
        head = f"{report['step']:<{_STEP_WIDTH}}{duration(report['seconds']):>{_SECONDS_WIDTH}}  "
        self._screen.line(report["text"], sign + head, 2 + len(head))

    def _sign(self, sign: str, color: str) -> str:
        return f"{self._screen.paint(sign, color)} "

    # The end

    def end(self, result: RefreshResult, seconds: float, *, cost_is_known: bool = True) -> None:
        """Show the verdict, what changed, what it cost, where production stands, and the next command."""
        screen = self._screen
        screen.end()
        screen.line()
        word = result.outcome.value.upper()
        self._labeled(word, self._verdict(result, seconds), _COLORS[result.outcome])
        for source, problem in result.unreadable_sources.items():
            self._labeled("DEGRADED", f"source {source}: {problem}", "yellow")
        if result.num_quarantined:
            self._labeled("DEGRADED", f"{counted(result.num_quarantined, 'document')} quarantined", "yellow")
        if changes := changes_in_words(result.changes):
            self._labeled("changes", changes)
        if result.run_id and cost_is_known:
            self._labeled("cost", _cost(result))
        self._labeled("production", _production(result))
        for note in result.notes:
            self._labeled("note", note)
        if result.alert:
            self._labeled("alert", result.alert)
        label = "next"
        for command in next_commands(result):
            self._labeled(label, command, "bold")
            label = ""

    def _labeled(self, label: str, text: str, color: str = "") -> None:
        head = f"{label:<{_LABEL_WIDTH}}"
        self._screen.line(text, self._screen.paint(head, color) if color else head, len(head))

    def _verdict(self, result: RefreshResult, seconds: float) -> str:
        took = f"in {duration(seconds)}"
        match result.outcome:
            case Outcome.LIVE | Outcome.UNCHANGED:
                return took
            case Outcome.HELD:
                return f"{took}: the candidate passed the gate and waits"
            case Outcome.SUPERSEDED if result.hold:
                return f"{took}: a rollback came first. Nothing of this refresh went live"
            case Outcome.SUPERSEDED:
                return f"{took}: another refresh was faster"
            case Outcome.CANCELED:
                return f"after {duration(seconds)}"
            case Outcome.BLOCKED:
                return f"{took}: the gate stopped the candidate"
            case _ if result.failed_step:
                return f"{took}, at {result.failed_step}"
            case _:
                return f"{took}: {result.reason}"


def next_commands(result: RefreshResult) -> list[str]:
    """Return the commands to type next, none if there is nothing to do."""
    first = _next_command(result)
    if result.outcome is not Outcome.REFUSED:
        return [first] if first else []
    others = (f"rag-assets approve {token}" for token in result.waiting_approvals)
    # Of several refusals, each needs an approval of its own.
    return [first, *(other for other in others if other not in first)]


def _next_command(result: RefreshResult) -> str:
    match result.outcome:
        case Outcome.LIVE if result.production_before is None:
            return 'rag-assets search "your question"'
        case Outcome.LIVE | Outcome.UNCHANGED:
            if result.num_quarantined:
                return "rag-assets quarantine"
            return "rag-assets doctor" if result.unreadable_sources else ""
        case Outcome.REFUSED:
            approval = _TOKEN.search(result.reason)
            # The plan lists what would be approved.
            return f"rag-assets plan, then {approval[0]}" if approval else "rag-assets plan"
        case Outcome.BLOCKED if _DRAFT in result.reason:
            return _DRAFT
        case Outcome.BLOCKED | Outcome.HELD:
            return "rag-assets status"
        case Outcome.SUPERSEDED if result.hold:
            return "rag-assets status"
        case Outcome.SUPERSEDED | Outcome.CANCELED:
            return "rag-assets refresh"
        case _:
            return "rag-assets doctor"


def _cost(result: RefreshResult) -> str:
    if not result.num_tokens:
        return "nothing embedded"
    tokens = counted(result.num_tokens, "token")
    if result.cost_usd is None:
        return f"{tokens} of unknown price"
    return f"{tokens}, {usd(result.cost_usd) if result.cost_usd else 'free'}"


def _production(result: RefreshResult) -> str:
    if result.production is None and result.production_problem:
        return f"unknown: {result.production_problem}"
    if result.production is None:
        return "nothing yet"
    size = ""
    if result.num_documents is not None and result.num_points is not None:
        size = f": {counted(result.num_documents, 'document')}, {counted(result.num_points, 'chunk')}"
    notes = ["unchanged"] if result.production == result.production_before else []
    if result.hold:
        notes.append(f"held {result.hold}")
    return f"{result.production}{size}" + "".join(f", {note}" for note in notes)

"""The matrix of observers and troubles: refreshes in Dagster while one observer fails.

    python -m rag_assets_tests.outages.observer_matrix    # writes the table into docs/outages.md

Three refreshes: before, in and after the trouble. Each is promoted or unchanged, as without the trouble. A person reads which
observer failed, and after the third refresh it holds everything.
"""

import contextlib
import logging
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag_assets.defs.runs.results import finish
from rag_assets.parsers import isolation
from rag_assets_tests.kept_workers import kept_workers
from rag_assets_tests.outages.effect_table import EffectTable, quoted
from rag_assets_tests.outages.observers import OBSERVERS, Moment, ObserverInTrouble, observing
from rag_assets_tests.pipeline import Pipeline, text_about
from rag_assets_tests.small_generations import small_generations
from rag_assets_tests.troubled_proxy import TROUBLES, Trouble

TABLE = EffectTable(
    "| observer | trouble | begins | a person reads | where | afterwards it holds |\n|---|---|---|---|---|---|\n"
)
Cell = tuple[str, Trouble, Moment]
"""Observer, trouble, moment."""


@dataclass(frozen=True)
class Seen:
    """The effect of one trouble of an observer.

    Attributes:
        says: the sentences that a person reads.
        places: where.
        held: what the observer holds after the next refresh.
    """

    says: tuple[str, ...]
    places: tuple[str, ...]
    held: str


def cells() -> list[Cell]:
    """Return all (observer, trouble, moment)."""
    return [
        (name, trouble, moment)
        for name, (_, moments) in OBSERVERS.items()
        for trouble in TROUBLES
        for moment in moments
    ]


def result_of(cell: Cell, folder: Path) -> Seen:
    """Refresh before, in and after the trouble.

    Raises:
        AssertionError: a refresh ended differently, the trouble is kept quiet, or the observer lacks something.
    """
    name, trouble, moment = cell
    with observing(name, folder / "observer") as observer, _pipeline(folder / "home") as pipeline:
        observer.use(pipeline)
        assert _refreshed(pipeline, observer) == {}
        pipeline.write("topic03.md", text_about("changed"))
        pipeline.write("new.md", text_about("new"))
        pipeline.remove("topic04.md")
        observer.proxy.begin(trouble, observer.first_request(moment))
        with observer.impatience():
            said = _refreshed(pipeline, observer)
        assert observer.proxy.has_begun, f"{cell}: there was no trouble"
        served = pipeline.served()
        assert {"filesystem:new.md"} <= served, "promoted"
        assert "filesystem:topic04.md" not in served
        said |= _shown(pipeline, observer)
        assert said, f"{cell}: nobody hears of it"
        observer.proxy.end()
        _refreshed(pipeline, observer)
        assert _shown(pipeline, observer) == {}
        held = observer.held(pipeline)
        _require_no_secret(pipeline, observer, said)
        plain = {place: _plain(text, observer) for place, text in said.items()}
        says = [text for place, text in plain.items() if place in ("log of the run", "command")]
        return Seen(tuple(dict.fromkeys(says)), tuple(plain), held)


@contextlib.contextmanager
def _pipeline(home: Path) -> Iterator[Pipeline]:
    with pytest.MonkeyPatch.context() as patch, small_generations():
        patch.setattr(isolation, "ParseWorkers", kept_workers)
        pipeline = Pipeline(home, patch)
        pipeline.populate()
        try:
            yield pipeline
        finally:
            pipeline.close()


def _refreshed(pipeline: Pipeline, observer: ObserverInTrouble) -> dict[str, str]:
    """Refresh as `rag-assets refresh` does. Return place -> text about a trouble."""
    before = pipeline.production().production
    run = pipeline.refresh().checked()
    dagster_run = pipeline.instance.get_run_by_id(run.run_id)
    assert dagster_run is not None
    result = finish(pipeline.instance, dagster_run, before)
    assert str(result.outcome) in ("live", "unchanged")
    error = observer.after_refresh(pipeline)
    warnings = [
        one.user_message or one.message
        for one in pipeline.instance.all_logs(run.run_id)
        if one.level >= logging.WARNING
    ]
    answer = [*result.notes, *([result.alert] if "not posted" in result.alert else []), error]
    said = {"log of the run": "; ".join(warnings), "command": "; ".join(filter(None, answer))}
    return {place: text for place, text in said.items() if text}


def _shown(pipeline: Pipeline, observer: ObserverInTrouble) -> dict[str, str]:
    """Return what `status` and `doctor` say about the trouble."""
    status = [line for line in pipeline.command("status")[1].splitlines() if "LAG" in line]
    doctor = [
        line
        for line in pipeline.command("doctor")[1].splitlines()
        if observer.part and re.match(rf"FAIL\s+{observer.part}:", line)
    ]
    said = {"`status`": "\n".join(status), "`doctor`": "\n".join(doctor)}
    return {place: text for place, text in said.items() if text}


def _require_no_secret(pipeline: Pipeline, observer: ObserverInTrouble, said: Mapping[str, str]) -> None:
    history = [
        str(row)
        for path in (pipeline.home / "dagster").rglob("*.db")
        for row in sqlite3.connect(path).iterdump()
    ]
    kept = [path.read_text(encoding="utf-8") for path in pipeline.state_dir.rglob("*.json")]
    everything = "\n".join([*said.values(), *history, *kept])
    assert not [secret for secret in observer.secrets if secret in everything]


def _plain(text: str, observer: ObserverInTrouble) -> str:
    text = text.replace(f"127.0.0.1:{observer.proxy.port}", observer.host)
    text = re.sub(r"since \d{4}-\d\d-\d\dT[\d:.+]+\d", "since TIME", text)
    return re.sub(r"\b[\d.]+ s\b", "N s", text)


# The page


def described(seen: Seen) -> str:
    return f"{quoted(seen.says)} | {', '.join(seen.places)} | {seen.held}"


def _main() -> None:
    results: dict[Cell, Seen] = {}
    for cell in cells():
        with tempfile.TemporaryDirectory(prefix="outages-", ignore_cleanup_errors=True) as folder:
            results[cell] = result_of(cell, Path(folder))
    TABLE.write({cell: described(seen) for cell, seen in results.items()})


if __name__ == "__main__":
    _main()

"""Measurements kept in the vector store: of production, and of the anchor against a slow loss of quality.

They outlive their generations and the state folder. They have no text: the questions follow from the hash of the benchmark.
"""

import base64
import json
import logging
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rag_assets.errors import RefusedError, StateFormatError
from rag_assets.evaluation.comparison import ALPHA_OF_ANCHOR, DEFAULT_MAX_REGRESSION, Result, compare
from rag_assets.evaluation.report import Answer, EvalReport, ListScores, Scores
from rag_assets.vector_stores.base import VectorStore

_logger = logging.getLogger(__name__)

Role = Literal["production", "best", "pinned"]
"""Keys of the records of kind `measured`."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class KeptMeasurement:
    """The rows of one promoted generation.

    Attributes:
        configuration: benchmark hash and retrieval settings. Another benchmark has other questions.
        answers: one for each question of the benchmark, in its order.
        set_apart: positions of the questions set apart.
        pinned_by: name of a person, "" if it is not pinned.
    """

    generation: str
    digest: str
    configuration: dict[str, Any]
    scores: Scores
    answers: tuple[Answer, ...]
    set_apart: tuple[int, ...] = ()
    pinned_by: str = ""

    @property
    def benchmark(self) -> str:
        return str(self.configuration.get("benchmark", ""))


def measurement_configuration(verdict_configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the benchmark and the retrieval settings of a verdict configuration: the rows depend on them."""
    return {key: verdict_configuration.get(key) for key in ("benchmark", "dense_weight")}


def measurement_of(report: EvalReport) -> KeptMeasurement | None:
    """Return the rows of the candidate of a report, or None for a report of an earlier version."""
    answers = tuple(query.answer for query in report.queries)
    if report.scores is None or not answers or None in answers:
        return None
    return KeptMeasurement(
        report.generation,
        report.digest,
        measurement_configuration(report.verdict_configuration),
        report.scores,
        tuple(answer for answer in answers if answer is not None),
        tuple(position for position, query in enumerate(report.queries) if query.is_set_apart),
    )


def kept_measurement(store: VectorStore, role: Role) -> KeptMeasurement | None:
    """Return a kept measurement. None if there is none, or it cannot be read: it is measured again.

    Raises:
        VectorStoreUnavailable: the store does not answer.
    """
    try:
        text = store.records("measured").get(role, "")
        return _from_text(text) if text else None
    except StateFormatError as error:
        _logger.warning("the kept measurements cannot be read, so there is no anchor: %s", error)
    except (ValueError, KeyError, TypeError, zlib.error):
        _logger.warning("the kept measurement of %s is damaged, and is not used", role)
    return None


def keep_measurement(store: VectorStore, report: EvalReport) -> None:
    """Keep the rows of production, and make it the anchor if it is the best one.

    The first promoted generation of a benchmark is its anchor. A later one takes its place if it is better by the rule for
    a loss: significant, and by the margin of a regression. The highest score of many equal generations is luck, and
    comparing with luck would raise false alarms.
    """
    measured = measurement_of(report)
    if measured is None:
        return
    known = kept_measurement(store, "production")
    if known is not None and replace(known, scores=measured.scores) == measured:
        return  # latencies differ each time
    records = {"production": _to_text(measured)}
    best = kept_measurement(store, "best")
    margin = float(report.verdict_configuration.get("max_regression", DEFAULT_MAX_REGRESSION)) / 100
    if best is None or best.benchmark != measured.benchmark or _is_better(measured, best, margin):
        records["best"] = records["production"]
    store.put_records("measured", records)


def _is_better(one: KeptMeasurement, best: KeptMeasurement, margin: float) -> bool:
    apart = {*one.set_apart, *best.set_apart}
    pairs = [
        (new.fused, old.fused)
        for position, (new, old) in enumerate(zip(one.answers, best.answers, strict=True))
        if position not in apart
    ]
    # The best one as the candidate: it must be worse than the new one.
    recall = compare(
        "anchor",
        "fused",
        "recall_at_5",
        [(new.recall_at_5, old.recall_at_5) for new, old in pairs],
        ALPHA_OF_ANCHOR,
        margin,
    )
    ranks = compare(
        "anchor", "fused", "mrr", [(new.mrr, old.mrr) for new, old in pairs], ALPHA_OF_ANCHOR, margin
    )
    return (
        Result.WORSE in (recall.result, ranks.result) and recall.change.mean <= 0 and ranks.change.mean <= 0
    )


def anchor_for(store: VectorStore, benchmark: str, num_questions: int) -> tuple[KeptMeasurement | None, str]:
    """Return the anchor of a benchmark, and a note about an omitted one, or "".

    The pinned one, otherwise the best promoted one.
    """
    pinned, best = kept_measurement(store, "pinned"), kept_measurement(store, "best")
    note = ""
    for name, one in (("pinned ", pinned), ("", best)):
        if one is None:
            continue
        if one.benchmark == benchmark and len(one.answers) == num_questions:
            return one, note
        note = (
            note or f"the {name}anchor {one.generation} is left out: it was measured with another benchmark"
        )
    return None, note


def pin(store: VectorStore, by: str) -> KeptMeasurement:
    """Make production the anchor until `unpin`.

    Raises:
        RefusedError: nothing is in production, or its measurement is not known.
    """
    production = store.production_state().production
    measured = kept_measurement(store, "production")
    if production is None or measured is None or measured.generation != production:
        raise RefusedError(
            "the measurement of production is not kept in the vector store: materialize eval_report and "
            "production_collection, then pin it"
        )
    pinned = replace(measured, pinned_by=by)
    store.put_records("measured", {"pinned": _to_text(pinned)})
    return pinned


def unpin(store: VectorStore) -> KeptMeasurement | None:
    """End a pin. Return the pinned measurement, or None."""
    pinned = kept_measurement(store, "pinned")
    if store.records("measured").get("pinned"):
        store.put_records("measured", {"pinned": ""})
    return pinned


def _to_text(measured: KeptMeasurement) -> str:
    rows = [
        [
            value
            for one in (answer.fused, answer.dense, answer.keyword)
            for value in (one.recall_at_5, one.mrr)
        ]
        for answer in measured.answers
    ]
    content = {
        "format": _FORMAT,
        "generation": measured.generation,
        "digest": measured.digest,
        "configuration": measured.configuration,
        "scores": asdict(measured.scores),
        "rows": rows,
        "set_apart": list(measured.set_apart),
        "pinned_by": measured.pinned_by,
    }
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()


def _from_text(text: str) -> KeptMeasurement:
    content = json.loads(zlib.decompress(base64.b64decode(text)))
    if content["format"] != _FORMAT:
        raise ValueError
    answers = tuple(
        Answer(ListScores(*row[0:2]), ListScores(*row[2:4]), ListScores(*row[4:6])) for row in content["rows"]
    )
    return KeptMeasurement(
        content["generation"],
        content["digest"],
        content["configuration"],
        Scores(**content["scores"]),
        answers,
        tuple(content["set_apart"]),
        content["pinned_by"],
    )

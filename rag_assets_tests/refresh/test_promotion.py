from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_assets.changes.content_changes import content_changes
from rag_assets.errors import (
    GateFailed,
    GenerationDamaged,
    PromotionRefused,
    StaleInputError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.evaluation.report_checks import report_digest
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import DocumentState
from rag_assets.refresh import promotion
from rag_assets.refresh.outcome import Outcome
from rag_assets.refresh.promotion import Promotion, check_candidate, promote, reject_candidate, retire
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import Hold, ProductionState
from rag_assets.vector_stores.promotion_rules import check_hold
from rag_assets_tests.documents import FINGERPRINT, OTHER_FINGERPRINT, corpus, stage
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore
from rag_assets_tests.reports import VERDICT_CONFIGURATION, passing_report

TEXTS = ["alpha\nbeta\n", "gamma\n", "delta\n"]
OLD = corpus({"a.md": TEXTS[0]})
NEW = corpus({"a.md": TEXTS[0], "b.md": TEXTS[1]})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    yield found
    found.close()


@pytest.fixture
def store() -> InMemoryVectorStore:
    """Production is g1, and g2 is its candidate."""
    found = InMemoryVectorStore()
    build(found, "g1", None, OLD)
    found.state = ProductionState("g1")
    build(found, "g2", "g1", NEW)
    found.calls.clear()
    return found


def build(
    store: VectorStore,
    generation: str,
    base: str | None,
    documents: list[DocumentState],
    fingerprint: dict[str, Any] = FINGERPRINT,
) -> None:
    stage(store, generation, documents, TEXTS, expected_production=base, fingerprint=fingerprint)


def go_live(
    store: VectorStore,
    ledger: Ledger,
    generation: str = "g2",
    base: str | None = "g1",
    *,
    recall: float = 0.9,
    documents: list[DocumentState] = NEW,
    **changed: Any,
) -> ProductionState:
    return attempt(store, ledger, generation, base, recall=recall, documents=documents, **changed).state


def attempt(
    store: VectorStore,
    ledger: Ledger,
    generation: str = "g2",
    base: str | None = "g1",
    *,
    recall: float = 0.9,
    documents: list[DocumentState] = NEW,
    **changed: Any,
) -> Promotion:
    manifest = store.manifest(generation)
    arguments: dict[str, Any] = {
        "base": base,
        "readings": {},
        "verdict_configuration": dict(VERDICT_CONFIGURATION),
        "threshold": 0.75,
        "documents": documents,
        "contents": content_changes((), documents),
    } | changed
    digest = arguments.pop("digest", manifest.digest if manifest else "gone")
    report = passing_report(generation, digest, recall)
    if arguments.pop("recorded", True):
        store.record_report(generation, report_digest(report))
    return promote(store, ledger, arguments.pop("report", report), **arguments)


def test_a_passing_candidate_goes_live_before_the_ledger_is_written(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    assert go_live(store, ledger) == ProductionState("g2", previous="g1")
    assert store.calls == [("promote", "g2")]
    assert ledger.documents("g2") == NEW
    assert store.open_readers == []


def test_the_first_generation_goes_live_over_nothing(ledger: Ledger) -> None:
    store = InMemoryVectorStore()
    build(store, "g1", None, OLD)
    assert go_live(store, ledger, "g1", None, documents=OLD) == ProductionState("g1")


def test_promoting_the_current_production_only_repairs_the_ledger(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    go_live(store, ledger)
    ledger.prune([])
    assert go_live(store, ledger) == ProductionState("g2", previous="g1")
    assert store.calls == [("promote", "g2")]
    assert ledger.documents("g2") == NEW


def test_a_retry_repairs_the_ledger_after_a_kill_following_the_switch(
    store: InMemoryVectorStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "put_documents", killed)
        with pytest.raises(Killed):
            go_live(store, ledger)
    assert store.state.production == "g2"
    store.manifests["g2"] = replace(store.manifests["g2"], run_id="run1")
    retried = attempt(store, ledger, run_ids=("run2", "run1"))
    assert retried == Promotion(Outcome.LIVE, ProductionState("g2", previous="g1"))
    assert ledger.documents("g2") == NEW
    assert attempt(store, ledger, run_ids=("run3",)).outcome is Outcome.UNCHANGED


# Nothing unverified goes live


def test_the_verdict_is_computed_again_at_promotion(store: InMemoryVectorStore, ledger: Ledger) -> None:
    with pytest.raises(GateFailed, match=r"Recall@5 0\.740 .* is below the threshold 0\.75.*is discarded"):
        go_live(store, ledger, recall=0.74)
    assert store.state == ProductionState("g1")
    assert store.generations() == ["g1"]
    assert ledger.documents("g2") is None


def test_a_kept_failed_candidate_never_goes_live_even_with_a_lower_threshold(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    with pytest.raises(PromotionRefused, match="is kept"):
        go_live(store, ledger, recall=0.74, keep_failed_candidate=True)
    assert store.generations() == ["g1", "g2"]
    lower: dict[str, Any] = VERDICT_CONFIGURATION | {"eval_threshold": 0.1}
    with pytest.raises(StaleInputError, match=r"different settings \(eval_threshold\)"):
        go_live(store, ledger, recall=0.74, threshold=0.1, verdict_configuration=lower)
    with pytest.raises(PromotionRefused, match="was rejected"):
        go_live(store, ledger, recall=0.74, threshold=0.1)
    assert store.state == ProductionState("g1")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"benchmark": "other"}, "benchmark"),
        ({"dense_weight": 0.5}, "dense_weight"),
        ({"eval_threshold": 0.8}, "eval_threshold"),
        ({"reranker": "new"}, "reranker"),
    ],
)
def test_a_report_with_another_configuration_is_stale(
    store: InMemoryVectorStore, ledger: Ledger, changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(StaleInputError, match=rf"different settings \({named}\)"):
        go_live(store, ledger, verdict_configuration=VERDICT_CONFIGURATION | changed)
    assert store.calls == []


def test_a_candidate_with_a_different_digest_is_refused(store: InMemoryVectorStore, ledger: Ledger) -> None:
    with pytest.raises(PromotionRefused, match="has a different digest"):
        go_live(store, ledger, digest="0" * 64)
    assert store.calls == []


def test_a_report_without_a_recorded_digest_promotes_nothing_and_rejects_nothing(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    with pytest.raises(PromotionRefused, match=r"knows of no measurement of g2.*Materialize eval_report"):
        go_live(store, ledger, recorded=False)
    assert (store.state, store.calls) == (ProductionState("g1"), [])


@pytest.mark.parametrize("recall", [0.95, 0.1])
def test_a_report_other_than_the_last_measurement_is_refused_and_the_candidate_stays(
    store: InMemoryVectorStore, ledger: Ledger, recall: float
) -> None:
    edited = passing_report("g2", _digest(store, "g2"), recall)
    with pytest.raises(PromotionRefused, match="not the last measurement of g2"):
        go_live(store, ledger, report=edited)
    assert (store.state, store.calls) == (ProductionState("g1"), [])


def test_an_unchanged_production_needs_no_recorded_digest(store: InMemoryVectorStore, ledger: Ledger) -> None:
    assert go_live(store, ledger, "g1", documents=OLD, recorded=False) == ProductionState("g1")


def test_a_candidate_with_missing_points_is_refused(store: InMemoryVectorStore, ledger: Ledger) -> None:
    store.points["g2"].popitem()
    with pytest.raises(GenerationDamaged, match="instead of the sealed 3"):
        go_live(store, ledger)
    assert (store.calls, store.open_readers) == ([("reject", "g2"), ("discard", "g2")], [])


def test_a_candidate_with_unexpected_documents_is_refused(store: InMemoryVectorStore, ledger: Ledger) -> None:
    with pytest.raises(GenerationDamaged, match="wrong locations"):
        go_live(store, ledger, documents=corpus({"elsewhere.md": TEXTS[0], "b.md": TEXTS[1]}))
    assert store.calls == []


# A stale base loses


@pytest.mark.parametrize("state", [ProductionState("g3", previous="g1"), ProductionState()])
def test_a_changed_production_supersedes_the_candidate(
    store: InMemoryVectorStore, ledger: Ledger, state: ProductionState
) -> None:
    build(store, "g3", "g1", NEW)
    store.state = state
    store.calls.clear()
    with pytest.raises(SupersededError, match="production is now"):
        go_live(store, ledger)
    assert (store.state, store.calls) == (state, [])
    assert ledger.documents("g2") is None


def test_a_candidate_built_on_another_base_loses_even_if_its_change_set_names_production(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    build(store, "g3", "g0", NEW)
    with pytest.raises(SupersededError):
        go_live(store, ledger, "g3", "g1")


def test_a_promotion_between_the_check_and_the_switch_wins(
    store: InMemoryVectorStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(store, "g3", "g1", NEW)
    real = store.promote

    def overtaken(*arguments: Any, **options: Any) -> ProductionState:
        store.state = ProductionState("g3", previous="g1")
        return real(*arguments, **options)

    monkeypatch.setattr(store, "promote", overtaken)
    with pytest.raises(SupersededError):
        go_live(store, ledger)
    assert store.state.production == "g3"
    assert ledger.documents("g2") is None


def test_a_missing_candidate_is_superseded(store: InMemoryVectorStore, ledger: Ledger) -> None:
    store.vanish("g2")
    with pytest.raises(SupersededError, match="g2 is gone"):
        go_live(store, ledger)


# A rollback holds


def rolled_back(store: VectorStore, ledger: Ledger) -> ProductionState:
    go_live(store, ledger)
    return store.rollback("g2", by="ana", reason="prices are wrong")


@pytest.fixture(params=["in memory", "embedded"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> VectorStore:
    if request.param == "in memory":
        return InMemoryVectorStore()
    return EmbeddedVectorStore(tmp_path / "store", "kb")


@pytest.mark.slow
def test_a_rollback_holds_until_it_is_resumed_under_all_settings(
    any_store: VectorStore, ledger: Ledger
) -> None:
    store = any_store
    build(store, "g1", None, OLD)
    go_live(store, ledger, "g1", None, documents=OLD)
    build(store, "g2", "g1", NEW)
    held = rolled_back(store, ledger)
    assert store.production_state() == held
    build(store, "g3", "g1", NEW)
    assert attempt(store, ledger, "g3") == Promotion(Outcome.HELD, held)
    assert store.production_state() == held
    # The candidate stays ready: waiting is not a rejection.
    assert check_candidate(store, "g3", _digest(store, "g3")).rejected == ""
    assert ledger.documents("g3") is None
    build(store, "g4", "g1", NEW, OTHER_FINGERPRINT)
    assert attempt(store, ledger, "g4") == Promotion(Outcome.HELD, held)
    assert store.production_state() == held
    store.resume()
    assert go_live(store, ledger, "g4") == ProductionState("g4", previous="g1")


def test_after_resume_the_candidate_goes_live(store: InMemoryVectorStore, ledger: Ledger) -> None:
    rolled_back(store, ledger)
    build(store, "g3", "g1", NEW)
    store.resume()
    assert attempt(store, ledger, "g3") == Promotion(Outcome.LIVE, ProductionState("g3", previous="g1"))


def test_a_hold_on_a_missing_generation_still_holds(store: InMemoryVectorStore, ledger: Ledger) -> None:
    rolled_back(store, ledger)
    store.vanish("g2")
    build(store, "g3", "g1", NEW)
    assert attempt(store, ledger, "g3").outcome is Outcome.HELD


def test_a_refresh_without_changes_is_unchanged_while_production_is_held(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    held = rolled_back(store, ledger)
    assert attempt(store, ledger, "g1", documents=OLD) == Promotion(Outcome.UNCHANGED, held)


def test_a_failed_gate_is_a_failure_also_while_production_is_held(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    rolled_back(store, ledger)
    build(store, "g3", "g1", NEW)
    with pytest.raises(GateFailed):
        go_live(store, ledger, "g3", recall=0.5)


def test_a_rollback_between_evaluation_and_promotion_holds_the_candidate(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    """Production is no longer the base of the candidate. Nobody overtook it: a person decided."""
    go_live(store, ledger)
    build(store, "g3", "g2", NEW)
    held = store.rollback("g2", by="ana", reason="prices are wrong")
    assert attempt(store, ledger, "g3", "g2") == Promotion(Outcome.HELD, held)


def test_a_rollback_during_the_last_checks_holds_the_candidate(
    store: InMemoryVectorStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(store, ledger)
    build(store, "g3", "g2", NEW)
    monkeypatch.setattr(promotion, "verify_candidate", lambda *_: store.rollback("g2", by="ana"))
    promoted = attempt(store, ledger, "g3", "g2")
    assert promoted == Promotion(Outcome.HELD, store.state)
    assert (store.state.production, store.state.held) == ("g1", "g2")


def test_a_rollback_during_a_refresh_without_changes_is_held(
    store: InMemoryVectorStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(store, ledger)
    original = store.promote

    def late(*arguments: Any) -> ProductionState:
        store.rollback("g2", by="ana")
        return original(*arguments)

    monkeypatch.setattr(store, "promote", late)
    assert attempt(store, ledger).outcome is Outcome.HELD


def test_a_hold_lifted_during_the_promotion_lets_the_candidate_go_live(
    store: InMemoryVectorStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled_back(store, ledger)
    build(store, "g3", "g1", NEW)

    def resumed(generation: str, state: ProductionState) -> None:
        try:
            check_hold(generation, state)
        finally:
            store.resume()

    monkeypatch.setattr(promotion, "check_hold", resumed)
    assert attempt(store, ledger, "g3") == Promotion(Outcome.LIVE, ProductionState("g3", previous="g1"))


def test_an_older_reading_is_superseded_also_while_production_is_held(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    rolled_back(store, ledger)
    build(store, "g3", "g1", NEW)
    older, newer = store.begin_reading(), store.begin_reading()
    attempt(store, ledger, "g1", documents=OLD, readings={"files": newer})
    with pytest.raises(SupersededError, match="older than reading"):
        attempt(store, ledger, "g3", readings={"files": older})


def test_approvals_of_a_held_candidate_wait_with_it(store: InMemoryVectorStore, ledger: Ledger) -> None:
    rolled_back(store, ledger)
    build(store, "g3", "g1", NEW)
    ledger.approve("a" * 16)
    attempt(store, ledger, "g3", approvals=["a" * 16])
    assert ledger.approved_tokens() == {"a" * 16}
    store.resume()
    attempt(store, ledger, "g3", approvals=["a" * 16])
    assert ledger.approved_tokens() == frozenset()


def _digest(store: VectorStore, generation: str) -> str:
    manifest = store.manifest(generation)
    assert manifest is not None
    return manifest.digest


# Rejecting


@pytest.mark.parametrize(
    "state",
    [ProductionState("g2"), ProductionState("g1", previous="g2"), ProductionState("g1", hold=Hold("g2"))],
    ids=["production", "previous", "held"],
)
def test_current_and_former_production_is_never_rejected_or_discarded(
    store: InMemoryVectorStore, state: ProductionState
) -> None:
    store.state = state
    assert "nothing to discard" in reject_candidate(store, "g2", "it got worse", keep=False)
    assert store.calls == []
    assert store.manifests["g2"].rejected == ""


def test_rejecting_twice_does_no_harm(store: InMemoryVectorStore) -> None:
    assert reject_candidate(store, "g2", "worse", keep=False) == "candidate g2 is discarded"
    assert reject_candidate(store, "g2", "worse", keep=False) == "candidate g2 is already gone"


def test_a_candidate_is_rejected_even_if_it_cannot_be_discarded(
    store: InMemoryVectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "discard", _raising(VectorStoreUnavailable("away")))
    assert "the next refresh discards it" in reject_candidate(store, "g2", "worse", keep=False)
    assert store.manifests["g2"].rejected == "worse"


def _raising(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    return raise_it


# Retiring


def retired(
    store: InMemoryVectorStore, ledger: Ledger, extra: tuple[str, ...] = ()
) -> tuple[list[str], list[set[str]]]:
    kept: list[set[str]] = []
    return retire(store, ledger, lambda keep: kept.append(keep) or 0, extra), kept


def contents(documents: list[DocumentState]) -> set[str]:
    return {state.content_hash for state in documents if state.content_hash}


def test_only_generations_beyond_a_rollback_are_retired(store: InMemoryVectorStore, ledger: Ledger) -> None:
    ledger.put_documents("g1", OLD)
    go_live(store, ledger)
    newest = corpus({"c.md": TEXTS[2]})
    build(store, "g3", "g2", newest)
    go_live(store, ledger, "g3", "g2", documents=newest)
    ledger.approve("0123456789abcdef")
    names, kept_texts = retired(store, ledger, ("extra",))
    assert names == ["g1"]
    assert store.generations() == ["g2", "g3"]
    assert kept_texts == [contents(NEW) | contents(newest) | {"extra"}]
    assert (ledger.documents("g1"), ledger.documents("g2")) == (None, NEW)
    assert ledger.approved_tokens() == frozenset()


def test_texts_stay_if_the_documents_of_a_kept_generation_are_unknown(
    store: InMemoryVectorStore, ledger: Ledger
) -> None:
    go_live(store, ledger)
    assert ledger.documents("g1") is None
    assert retired(store, ledger) == ([], [])
    assert ledger.documents("g2") == NEW


@pytest.mark.parametrize("error", [VectorStoreUnavailable("away"), OSError("disk full")])
def test_a_failed_cleanup_is_a_warning_and_the_promotion_stands(
    store: InMemoryVectorStore, ledger: Ledger, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.put_documents("g1", OLD)
    go_live(store, ledger)
    assert retire(store, ledger, _raising(error)) == []
    assert str(error) in caplog.text
    assert store.state == ProductionState("g2", previous="g1")


def test_the_report_of_another_candidate_is_refused(store: InMemoryVectorStore, ledger: Ledger) -> None:
    report = replace(passing_report("g1", _digest(store, "g1")), generation="g2")
    with pytest.raises(PromotionRefused, match="has a different digest"):
        promote(
            store,
            ledger,
            report,
            base="g1",
            readings={},
            verdict_configuration=dict(VERDICT_CONFIGURATION),
            threshold=0.75,
            documents=NEW,
            contents=content_changes((), NEW),
        )

"""A purge killed at any moment, or without a part that it needs: it says so, and the same command completes it."""

import multiprocessing
import random
import time
from multiprocessing.synchronize import Event
from unittest import mock

import pytest
from pydantic import SecretStr

from rag_assets.errors import LedgerUnavailable, MetadataTablesUnavailable
from rag_assets.fingerprint import short_hash
from rag_assets.generations.verification import check_every_point
from rag_assets.inspection.doctor import examine
from rag_assets.inspection.status import describe, status
from rag_assets.inspection.trace import trace
from rag_assets.operations.purge import traces
from rag_assets.operations.purge.purge import purge
from rag_assets_tests.canary import CANARY, places_of
from rag_assets_tests.histories.world import World
from rag_assets_tests.kept_folder import KeptFolder
from rag_assets_tests.operations.conftest import Installations
from rag_assets_tests.operations.purging import SECRET, purged, record_of, texts_of
from rag_assets_tests.tracking.conftest import everything_in, new_postgres_url

pytestmark = pytest.mark.slow
_context = multiprocessing.get_context("forkserver")


def purge_in_process(world: World, started: Event) -> None:
    with world.knowledge_base() as knowledge_base:
        started.set()
        purge(knowledge_base, SECRET, by="ana", reason="a request")


def killed_after(world: World, seconds: float) -> int | None:
    """Start a purge, and kill it after some time. Return its exit code."""
    started = _context.Event()
    process = _context.Process(target=purge_in_process, args=(world, started))
    process.start()
    started.wait(60)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def check_production(installations: Installations) -> None:
    """Production is one complete generation, every point as it was sealed."""
    with installations.original() as knowledge_base:
        store = knowledge_base.vector_store
        state = store.production_state()
        for generation in (state.production, state.held):
            manifest = store.manifest(str(generation)) if generation else None
            if manifest is not None:
                assert not check_every_point(store, manifest, short_hash(manifest.fingerprint)).problems


@pytest.mark.parametrize("times", [4, pytest.param(40, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
@pytest.mark.parametrize("held", [False, True])
def test_a_purge_killed_at_random_moments_is_completed_by_the_next_one(
    kept_canary: tuple[Installations, KeptFolder], held: bool, times: int
) -> None:
    installations, folder = kept_canary
    chance = random.Random(times)
    folder.restore()
    began = time.monotonic()
    assert killed_after(installations.world, 120) == 0
    whole = time.monotonic() - began
    for _ in range(times):
        folder.restore()
        hold = None
        if held:
            with installations.original() as knowledge_base:
                store = knowledge_base.vector_store
                hold = store.rollback(
                    store.production_state().production, by="bo", reason="wrong prices"
                ).hold
        for _ in range(chance.choice((1, 1, 2))):
            killed_after(installations.world, chance.uniform(0, whole))
            check_production(installations)
        state = purged(installations).state
        check_production(installations)
        assert places_of(CANARY, installations.world.state_dir) == []
        assert SECRET not in " ".join(texts_of(installations))
        assert str(state.hold) == str(hold)
        outcome = installations.world.refresh()
        assert outcome.succeeded
        assert str(installations.world.production().hold) == str(hold)
        assert places_of(CANARY, installations.world.state_dir) == []
        with installations.original() as knowledge_base:
            assert not record_of(knowledge_base).is_unfinished
            assert SECRET not in knowledge_base.served_documents()


# Without a part


def reports(installations: Installations) -> tuple[str, str]:
    """Return what `status` says of the purge, and what `doctor` does."""
    with installations.original() as knowledge_base:
        told = [line for line in describe(status(knowledge_base)).splitlines() if "purge" in line]
        found = [one for one in examine(knowledge_base) if one.part == "purged documents"]
        return "\n".join(told), "\n".join(f"{one.result} {one.detail}" for one in found)


def test_a_database_that_is_down_leaves_the_purge_unfinished(canary: Installations) -> None:
    postgres_url = new_postgres_url()
    settings = canary.world.settings
    settings["metadata_url"] = SecretStr(postgres_url)
    canary.world.refresh().checked()
    assert "secret.md" in everything_in(postgres_url)
    settings["metadata_url"] = SecretStr("postgresql://nobody:x@127.0.0.1:9/nothing")
    with pytest.raises(MetadataTablesUnavailable) as told:
        purged(canary)
    assert f"{SECRET} is removed from everything but the metadata tables" in str(told.value)
    assert "run the command again" in str(told.value)
    in_status, in_doctor = reports(canary)
    assert (
        f"UNFINISHED     the purge of {SECRET} was interrupted: run `rag-assets purge {SECRET}` again"
        in in_status
    )
    assert in_doctor.startswith("FAIL ")
    assert "is unfinished" in in_doctor
    assert places_of(CANARY, canary.world.state_dir) == []
    assert canary.world.refresh().succeeded
    assert "UNFINISHED" in reports(canary)[0]
    settings["metadata_url"] = SecretStr(postgres_url)
    purged(canary)
    assert reports(canary)[1] == "ok 1 document kept out"
    assert "UNFINISHED" not in reports(canary)[0]
    assert "secret.md" not in everything_in(postgres_url)
    assert places_of("secret.md", canary.world.state_dir) == []
    del settings["metadata_url"]


def test_a_failing_ledger_leaves_the_purge_unfinished(canary: Installations) -> None:
    failing = mock.patch.object(traces, "forget_cached", side_effect=LedgerUnavailable("it is away"))
    with failing, pytest.raises(LedgerUnavailable):
        purged(canary)
    assert "UNFINISHED" in reports(canary)[0]
    purged(canary)
    assert reports(canary)[1] == "ok 1 document kept out"


def test_a_trace_finds_a_purged_document_without_its_source(canary: Installations) -> None:
    purged(canary)
    canary.world.remove("one", "secret.md")
    canary.world.refresh().checked()
    with canary.original() as knowledge_base:
        found = trace(knowledge_base, "secret.md")
        assert found["outcome"] == "purged"
        assert "by ana: a request" in found["explanation"][0]

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.disk.processes import pid_space
from rag_assets.ledgers import lease
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.lease import lease_renewed, live_holder, wait_for_lease
from rag_assets.ledgers.sqlite import SqliteLedger

HOST = pid_space()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    yield found
    found.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.02)
    monkeypatch.setattr(lease, "_CONFIRMED_AFTER_SECONDS", 0.06)
    monkeypatch.setattr(lease, "EXPIRED_AFTER_SECONDS", 0.3)


@pytest.fixture(scope="module")
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def owner_of(ledger: Ledger) -> str | None:
    holder = ledger.lease_holder()
    return holder.owner if holder else None


def test_a_living_process_holds_the_lease(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    holder = live_holder(ledger)
    assert holder is not None
    assert holder.owner == "r1"


def test_a_dead_process_on_this_machine_loses_its_lease(ledger: Ledger, dead_pid: int) -> None:
    ledger.acquire_lease("r1", HOST, dead_pid)
    assert live_holder(ledger) is None
    started_at = time.monotonic()
    wait_for_lease(ledger, "r2")
    assert time.monotonic() - started_at < 0.25
    assert owner_of(ledger) == "r2"


_ALIVE_FROM_A_CONTAINER = """
import sys
from pathlib import Path
from rag_assets.ledgers.lease import live_holder
from rag_assets.ledgers.sqlite import SqliteLedger
print(live_holder(SqliteLedger(Path(sys.argv[1]), "kb")) is not None)
"""


def test_two_containers_with_one_host_name_do_not_take_each_other_for_dead(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    own_pids = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*own_pids, "true"], capture_output=True, check=False).returncode:
        pytest.skip("processes with pids of their own cannot be started here")
    look = [*own_pids, sys.executable, "-c", _ALIVE_FROM_A_CONTAINER, str(tmp_path / "ledger.sqlite")]
    assert subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_a_process_on_another_machine_holds_its_lease_until_it_expires(ledger: Ledger, dead_pid: int) -> None:
    ledger.acquire_lease("r1", "elsewhere", dead_pid)
    assert live_holder(ledger) is not None
    time.sleep(0.3)
    assert live_holder(ledger) is None


def test_the_lease_holds_between_two_steps(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    ledger.renew_lease("r1", None)
    assert live_holder(ledger) is not None


def test_a_refresh_waits_for_a_running_one(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    keep_alive = threading.Event()
    waiting = threading.Thread(target=wait_for_lease, args=(ledger, "r2"))
    waiting.start()
    for _ in range(20):  # longer than an unrenewed lease lives
        ledger.renew_lease("r1", os.getpid())
        keep_alive.wait(0.02)
    assert waiting.is_alive()
    assert owner_of(ledger) == "r1"
    ledger.release_lease("r1")
    waiting.join(timeout=5)
    assert owner_of(ledger) == "r2"


def test_a_lease_without_renewal_expires(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", "elsewhere", 1)
    started_at = time.monotonic()
    wait_for_lease(ledger, "r2")
    assert 0.2 < time.monotonic() - started_at < 3


def test_a_clock_that_jumps_ahead_takes_no_lease_from_a_living_run(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_lease(ledger, "r1")
    real, jumps = time.time, itertools.count()
    # Each look at the clock is ten minutes after the last one.
    monkeypatch.setattr("rag_assets.ledgers.sqlite.time.time", lambda: real() + 600 * next(jumps))
    waiting = threading.Thread(target=wait_for_lease, args=(ledger, "r2"))
    waiting.start()
    for _ in range(40):
        assert ledger.renew_lease("r1", 1)
        waiting.join(timeout=0.02)
    ledger.release_lease("r1")
    waiting.join(timeout=5)
    assert owner_of(ledger) == "r2"


@pytest.mark.parametrize("ahead_seconds", [0.1, 3600.0])
def test_a_lease_from_a_clock_that_was_ahead_ends(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, ahead_seconds: float
) -> None:
    real = time.time
    with monkeypatch.context() as clock:
        clock.setattr("rag_assets.ledgers.sqlite.time.time", lambda: real() + ahead_seconds)
        ledger.acquire_lease("r1", "elsewhere", 1)
    wait_for_lease(ledger, "r2")
    assert owner_of(ledger) == "r2"


def test_a_retried_run_already_has_its_lease(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", "elsewhere", 1)
    wait_for_lease(ledger, "r1")
    assert owner_of(ledger) == "r1"


def test_a_step_renews_the_lease_while_it_works(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    with lease_renewed(ledger, "r1", process_outlives_step=True):
        time.sleep(0.4)  # longer than an unrenewed lease lives
        holder = live_holder(ledger)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert owner_of(ledger) == "r1"


@pytest.mark.parametrize(
    ("process_outlives_step", "pid"),
    [(True, os.getpid()), (False, None)],
    ids=["same process", "process a step"],
)
def test_after_a_step_the_lease_names_the_process_only_if_it_runs_the_next_step_too(
    ledger: Ledger, process_outlives_step: bool, pid: int | None
) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    with lease_renewed(ledger, "r1", process_outlives_step=process_outlives_step):
        pass
    holder = ledger.lease_holder()
    assert holder is not None
    assert holder.pid == pid
    # It is no longer renewed.
    time.sleep(0.05)
    again = ledger.lease_holder()
    assert again is not None
    assert again.age_seconds >= 0.05


def test_a_failed_step_releases_the_lease(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    with (
        pytest.raises(RuntimeError, match="failed"),
        lease_renewed(ledger, "r1", process_outlives_step=True),
    ):
        raise RuntimeError("failed")
    assert ledger.lease_holder() is None


def test_a_step_that_is_retried_keeps_the_lease(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.acquire_lease("r1", HOST, os.getpid())
    with (
        pytest.raises(RuntimeError, match="no answer"),
        lease_renewed(ledger, "r1", process_outlives_step=False, is_retried=lambda _: True),
    ):
        raise RuntimeError("no answer")
    assert owner_of(ledger) == "r1"
    with lease_renewed(ledger, "r1", process_outlives_step=False, was_held=True):
        pass
    assert caplog.records == [], "it was never gone"


def test_a_step_started_alone_leaves_the_lease_alone(ledger: Ledger) -> None:
    with lease_renewed(ledger, "alone", process_outlives_step=True):
        assert ledger.lease_holder() is None
    ledger.acquire_lease("r1", HOST, os.getpid())
    with (
        pytest.raises(RuntimeError, match="failed"),
        lease_renewed(ledger, "alone", process_outlives_step=True),
    ):
        raise RuntimeError("failed")
    assert owner_of(ledger) == "r1"

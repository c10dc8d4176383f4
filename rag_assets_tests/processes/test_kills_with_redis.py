"""Refreshes with the ledger on Redis, killed at random moments: near the promotion, with Redis emptied, with a wrong clock.

Production is one complete generation throughout, and the next refresh ends like an uninterrupted one. `pytest -m soak` runs
all forty kills and all pauses, a plain `pytest` a few of them.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_assets.refresh.outcome import Outcome
from rag_assets_tests.processes.conftest import Story, tell
from rag_assets_tests.processes.kill_points import (
    die_near_the_promotion,
    presume_others_dead_at_once,
)
from rag_assets_tests.processes.reader import Reader
from rag_assets_tests.processes.refresh_process import RefreshProcess, StoppedRefresh, refresh
from rag_assets_tests.processes.scene import Scene, assert_same_end, new_scene
from rag_assets_tests.processes.test_killed_refreshes import assert_served_throughout
from rag_assets_tests.processes.test_two_refreshes import outcomes, outcomes_of_failures
from rag_assets_tests.redis_servers import RedisServer, redis_server

NUM_KILLS = 40
SAMPLE = (0, 1, 2)
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
PAUSES = (
    "when the lease was taken",
    "in the middle of staging",
    "at the start of production_collection",
    "before the promotion",
    "before the pointer is replaced",
    "when the pointer was replaced",
    "after the promotion",
    "when the ledger was written",
    "before upkeep",
    "before the ledger is pruned",
    "before texts are pruned",
)
IN_CI = ("before the promotion", "after the promotion")


@dataclass(frozen=True)
class RedisStory:
    """A story with its ledger on Redis.

    Attributes:
        kept: the keys before the last refresh, with their lifetimes and serialized values.
        seconds: of an uninterrupted refresh.
    """

    story: Story
    server: RedisServer
    kept: dict[bytes, tuple[int, bytes]]
    seconds: float

    def restore(self) -> None:
        client = self.server.client()
        client.flushall()
        for key, (ttl, value) in self.kept.items():
            client.restore(key, max(ttl, 0), value)


@pytest.fixture(scope="module")
def on_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisStory]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        story = tell(new_scene(tmp_path_factory.mktemp("story"), redis_url=server.url))
        client = server.client()
        kept = {
            key: (client.pttl(key), client.dump(key))
            for key in client.keys("*")
            if not key.endswith(b":lease")
        }
        copy = story.before.copy_to(story.before.home.with_name("timed"))
        began = time.monotonic()
        refresh(copy)
        yield RedisStory(story, server, kept, time.monotonic() - began)


@pytest.fixture
def scene(on_redis: RedisStory, tmp_path: Path) -> Iterator[Scene]:
    on_redis.restore()
    copy = on_redis.story.before.copy_to(tmp_path / "home")
    yield copy
    shutil.rmtree(copy.home, ignore_errors=True)


def numbers() -> list[Any]:
    return [
        pytest.param(number, marks=() if number in SAMPLE else pytest.mark.soak)
        for number in range(NUM_KILLS)
    ]


@pytest.mark.parametrize("number", numbers())
def test_a_refresh_is_completed_after_a_kill_at_a_random_moment(
    number: int, scene: Scene, on_redis: RedisStory
) -> None:
    chance = random.Random(number)
    with Reader(scene) as reader:
        if number % 4 == 0:
            seconds = chance.uniform(0, 0.2)
            code = RefreshProcess(scene, die_near_the_promotion, (seconds,)).wait()
            # A refresh without anything left to do may end before.
            assert code in (0, -signal.SIGKILL)
        elif number % 4 == 2:
            with_another_clock(scene, "+1d" if number % 8 == 2 else "-1d", chance.uniform(0, 12))
        else:
            flushing = threading.Timer(chance.uniform(0, on_redis.seconds), on_redis.server.client().flushall)
            if number % 4 == 1:
                flushing.start()
            killed(RefreshProcess(scene), chance.uniform(0, on_redis.seconds))
            flushing.join() if number % 4 == 1 else None
        refresh(scene)
    assert_served_throughout(reader, on_redis.story)
    assert_same_end(scene, on_redis.story.after)


def killed(process: RefreshProcess, seconds: float) -> None:
    process.process.join(seconds)
    process.process.kill()
    process.process.join()


def with_another_clock(scene: Scene, shift: str, seconds: float) -> None:
    """Refresh with the clock a day ahead or behind, and kill it."""
    if FAKETIME is None:
        if os.environ.get("CI"):
            pytest.fail("libfaketime is not installed", pytrace=False)
        pytest.skip("libfaketime is not installed")
    environment = scene.environment(
        LD_PRELOAD=str(FAKETIME), FAKETIME=shift, FAKETIME_DONT_FAKE_MONOTONIC="1"
    )
    command = [
        sys.executable,
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        "rag_assets.definitions",
        "--select",
        "*",
    ]
    with (scene.home / "faketime.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=scene.home, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in IN_CI else pytest.mark.soak) for point in PAUSES]
)
def test_a_refresh_paused_past_its_lease_and_another_one_promote_once(
    point: str, scene: Scene, on_redis: RedisStory
) -> None:
    before = len(outcomes(scene))
    with Reader(scene) as reader, StoppedRefresh(scene, point) as stopped:
        other = RefreshProcess(scene, presume_others_dead_at_once)
        # In the middle of an exchange of the pointer, the other one waits for the paused one.
        other.process.join(20)
        code = stopped.resume()
        assert other.wait() in (0, 1), other.log()
    refresh(scene)
    ended = outcomes(scene)[: -before or None]
    assert ended.count(Outcome.LIVE) == 1, ended
    assert set(outcomes_of_failures(scene)) <= {Outcome.SUPERSEDED}
    assert code in (0, 1)
    assert_served_throughout(reader, on_redis.story)
    assert_same_end(scene, on_redis.story.after)

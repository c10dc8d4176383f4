"""The state machine with its ledger on Redis, which loses keys between and within refreshes.

All histories use one server, and each has a knowledge base of its own.
"""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import redis
from hypothesis import strategies as st
from hypothesis.stateful import rule

from rag_assets_tests.histories.machine import KnowledgeBaseMachine
from rag_assets_tests.histories.world import STEPS, World


class RedisMachine(KnowledgeBaseMachine):
    """See `KnowledgeBaseMachine`.

    Attributes:
        url: of the server.
    """

    url: ClassVar[str]

    def make_world(self, home: Path) -> World:
        world = World(home)
        world.settings["redis_url"] = self.url
        return world

    @property
    def _client(self) -> Any:
        return redis.Redis.from_url(self.url)

    @rule(seed=st.integers(0, 1000), share=st.sampled_from((0.1, 0.5, 0.9)))
    def evict(self, seed: int, share: float) -> None:
        """Lose some of the keys, of any kind."""
        self._evict(random.Random(seed), share)
        self._check("lose keys")

    def _evict(self, chance: random.Random, share: float) -> None:
        client = self._client
        for key in sorted(client.keys("*")):
            if chance.random() < share:
                client.delete(key)

    @rule(step=st.sampled_from(STEPS), seed=st.integers(0, 1000), share=st.sampled_from((0.3, 1.0)))
    def refresh_and_evict(self, step: str, seed: int, share: float) -> None:
        """Lose keys, or all of them, before a step."""

        @contextlib.contextmanager
        def evicting(name: str) -> Iterator[None]:
            if name == step:
                self._evict(random.Random(seed), share)
            yield

        reading = self._read()
        self._ended(reading, self.world.refresh(around=evicting))
        self._check("refresh and lose keys")

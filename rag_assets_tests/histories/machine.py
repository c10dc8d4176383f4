"""The state machine: everything that happens to a knowledge base, in any order, beside a simple model of it.

The model knows the documents of production, of the previous generation and of the held one. After each step that may
change the state, everything stored is compared with it:

- every point of these generations is as it was sealed,
- production is a generation that the model expects, so nothing unverified serves,
- its documents are the expected ones, last good versions of broken files included, so nothing is lost,
- its points are those of a build from nothing.
"""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rag_assets.records import DocumentState
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.histories.calls import Calls, copy_of_state
from rag_assets_tests.histories.damage import DAMAGES, damage_candidate
from rag_assets_tests.histories.expectation import (
    Reading,
    Snapshot,
    after_refresh,
    known_documents,
    points_from_nothing,
    problems_of,
    read_sources,
    stored_points,
)
from rag_assets_tests.histories.world import OUT_OF_REACH, SOURCES, STEPS, Killed, Outcome, World
from rag_assets_tests.pipeline import assert_same_points

NAMES = ("a.md", "b.md", "sub/c.md")
TEXTS = (
    "apples and pears",
    "# Fruit\n\napples and pears",
    "bananas are long " * 20,
    "bananas are long " * 19 + "or short",
    "cherries\n\n" * 12,
    "quite another matter, told in some more words than the others have",
    # Texts from above, with metadata: only the payload changes.
    "---\nyear: 2024\n---\napples and pears",
    "---\nyear: 2025\ntags: [fruit]\n---\napples and pears",
)
BROKEN = (b"\x00\xff\xfe\x01 no text \x00\x00", b"", b"   \n")
PLACES = st.tuples(st.sampled_from(SOURCES), st.sampled_from(NAMES))
MOST_CALLS = 2000
"""About the number of counted calls of a refresh."""

steps_taken: Counter[str] = Counter()
"""Rule -> how often it ran in this process, over all histories."""


@dataclass(frozen=True)
class Pending:
    """A run that ended early, to be re-executed.

    Attributes:
        reading: what it read, if it got so far.
        number: of its reading, in the order of all readings.
        production: generation in production at its end.
    """

    outcome: Outcome
    reading: Reading
    number: int
    production: str | None

    @property
    def has_decided(self) -> bool:
        """Whether its change set is made, for the production of that time."""
        return STEPS.index(self.outcome.failed_step or STEPS[0]) > STEPS.index("deduped_documents")


class KnowledgeBaseMachine(RuleBasedStateMachine):
    """One knowledge base and its model."""

    world: World

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="history-"))
        self.world = self.make_world(self.folder / "home")
        self.served: Snapshot | None = None
        self.previous: Snapshot | None = None
        self.held: Snapshot | None = None
        self.state = ProductionState()
        self.texts: dict[str, str] = {}
        self.whole: dict[tuple[str, str], str] = {}
        self.pending: Pending | None = None
        self.readings = 0
        self.has_changed = True
        self.last_that_counted = dict.fromkeys(SOURCES, 0)
        self.refresh()

    def make_world(self, home: Path) -> World:
        return World(home)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # The world

    @rule(place=PLACES, text=st.sampled_from(TEXTS))
    def write(self, place: tuple[str, str], text: str) -> None:
        """Add a document, edit it, or mend it with another text."""
        self._back(place[0])
        self.world.write(*place, text)
        self.whole[place] = text
        self._did("write")

    @precondition(lambda self: self._there())
    @rule(which=st.integers(0, 99), to=PLACES)
    def move(self, which: int, to: tuple[str, str]) -> None:
        place = self._pick(which)
        self._back(to[0])
        self.world.move(*place, *to)
        if place in self.whole:
            self.whole[to] = self.whole[place]
        self._did("move")

    @precondition(lambda self: self._there())
    @rule(which=st.integers(0, 99), to=PLACES)
    def copy(self, which: int, to: tuple[str, str]) -> None:
        place = self._pick(which)
        self._back(to[0])
        self.world.write(*to, self.world.path(*place).read_bytes())
        if place in self.whole:
            self.whole[to] = self.whole[place]
        self._did("copy")

    @precondition(lambda self: self._there())
    @rule(which=st.integers(0, 99))
    def delete(self, which: int) -> None:
        self.world.remove(*self._pick(which))
        self._did("delete")

    @precondition(lambda self: self._there())
    @rule(which=st.integers(0, 99), content=st.sampled_from(BROKEN))
    def break_file(self, which: int, content: bytes) -> None:
        self.world.write(*self._pick(which), content)
        self._did("break")

    @precondition(lambda self: self._there())
    @rule(which=st.integers(0, 99))
    def mend(self, which: int) -> None:
        """Write the last whole text of a file again."""
        place = self._pick(which)
        if place in self.whole:
            self.world.write(*place, self.whole[place])
        self._did("mend")

    @rule()
    def unplug(self) -> None:
        """Take a whole source away, or bring it back, as a write to it does."""
        source = SOURCES[1]
        self._unplugged(source).parent.mkdir(exist_ok=True)
        if self.world.path(source, "").exists():
            self.world.path(source, "").rename(self._unplugged(source))
            self._did("unplug")
        else:
            self._back(source)

    @rule(chunk_size=st.sampled_from((16, 24)))
    def set_chunk_size(self, chunk_size: int) -> None:
        self.world.settings["chunk_size"] = chunk_size
        self._did("change a setting")

    # Refreshes

    @precondition(lambda self: self.has_changed)
    @rule()
    def refresh(self) -> None:
        """Refresh: it succeeds in every state, and the candidate waits if a rollback holds production."""
        reading = self._read()
        self._ended(reading, self.world.refresh())
        self._check("refresh")

    def _ended(self, reading: Reading, outcome: Outcome) -> None:
        """Compare the end of an undisturbed refresh with the model."""
        target = self._target(reading)
        if self.held is not None and not self._is_served(target):
            assert outcome.checked().is_held, outcome
            # After `resume`, materializing production_collection alone promotes it.
            self._keep(replace(outcome, failed_step="production_collection"), reading)
        else:
            assert not outcome.checked().is_held, outcome
            self._promoted(target)
            self._counted(reading, self.readings)

    @rule(ignoring_gate=st.booleans())
    def fail_the_gate(self, ignoring_gate: bool) -> None:
        """The candidate is too bad, even where the gate is ignored. Production stays."""
        reading = self._read()
        outcome = self.world.refresh(eval_threshold=OUT_OF_REACH, ignoring_gate=ignoring_gate)
        assert not outcome.succeeded
        self._keep(outcome, reading)
        self._check("fail the gate")

    @rule(step=st.sampled_from(STEPS))
    def kill_before_step(self, step: str) -> None:
        reading = self._read()
        outcome = self.world.refresh(until=step)
        assert not outcome.succeeded
        self._keep(outcome, reading)
        self._check("kill before a step")

    @rule(nth=st.integers(0, MOST_CALLS), clean=st.booleans())
    def kill_in_call(self, nth: int, clean: bool) -> None:
        """Die in the middle of a step.

        Args:
            clean: whether `except` and `finally` still run, as after SIGTERM. If not, the state is as SIGKILL leaves it.
        """
        reading = self._read()
        copied = self.folder / "state when killed"

        def die(kind: str) -> None:
            if not clean and self.world.state_dir.exists():
                copy_of_state(self.world, copied)
            raise Killed

        with Calls(self.world, nth, die, deadly=True).counted() as calls:
            outcome = self.world.refresh()
        if copied.exists():
            shutil.rmtree(self.world.state_dir)
            copied.rename(self.world.state_dir)
            self.world.let_go_of_lease(outcome)
        if calls.failed is None:
            self._ended(reading, outcome)
        else:
            self._either(self._target(reading))
            if outcome.succeeded and not outcome.is_held:
                self._counted(reading, self.readings)
            else:
                self._keep(outcome, reading)
        self._check("kill in a call")

    @precondition(lambda self: self.pending is not None)
    @rule()
    def execute_again(self) -> None:
        """Re-execute the last run that failed, from its failed step: nothing newer may be undone."""
        pending, self.pending = self.pending, None
        assert pending is not None
        reading, number = pending.reading, pending.number
        if pending.outcome.failed_step == STEPS[0]:
            reading, number = self._read(), self.readings
        before = self.world.production()
        outcome = self.world.refresh(again=pending.outcome)
        if self.world.production() != before:
            older = [source for source in reading.complete_sources if number < self.last_that_counted[source]]
            assert older == [], "an older reading was served instead of a newer one"
            assert self.held is None
            assert not pending.has_decided or pending.production == before.production, "another base"
            outcome.checked()
        self._either(self._target(reading))
        if outcome.succeeded and not outcome.is_held:
            self._counted(reading, number)
        self._check("execute again")

    @rule(what=st.sampled_from(DAMAGES))
    def damage_the_candidate(self, what: str) -> None:
        """Another hand changes the sealed candidate. It never goes live."""
        reading = self._read()
        target = self._target(reading)

        @contextlib.contextmanager
        def around(step: str) -> Iterator[None]:
            yield
            if step == "staging_collection":
                damage_candidate(self.world, what)

        outcome = self.world.refresh(around=around)
        if self._is_served(target):
            self._ended(reading, outcome)
        else:
            assert not outcome.succeeded, f"a candidate with damaged {what} went live"
            self.pending = None
        self._check("damage the candidate")

    # Commands and losses

    @precondition(lambda self: self.previous is not None)
    @rule()
    def roll_back(self) -> None:
        with self.world.knowledge_base() as knowledge_base:
            store = knowledge_base.vector_store
            store.rollback(store.production_state().production)
        self.served, self.previous, self.held = self.previous, None, self.served
        self._check("roll back")

    @precondition(lambda self: self.held is not None)
    @rule()
    def resume(self) -> None:
        with self.world.knowledge_base() as knowledge_base:
            knowledge_base.vector_store.resume()
        self.held = None
        self._check("resume")

    @rule(what=st.sampled_from(("ledger", "texts", "artifacts")))
    def lose(self, what: str) -> None:
        self.world.lose(what)
        if what == "artifacts":
            self.pending = None
        self._check(f"lose the {what}")

    # The model

    def _there(self) -> list[tuple[str, str]]:
        return [
            (source, name)
            for source in SOURCES
            for name in NAMES
            if hasattr(self, "world") and self.world.path(source, name).exists()
        ]

    def _pick(self, which: int) -> tuple[str, str]:
        there = self._there()
        return there[which % len(there)]

    def _unplugged(self, source: str) -> Path:
        return self.folder / "unplugged" / source

    def _back(self, source: str) -> None:
        if self._unplugged(source).exists():
            self._unplugged(source).rename(self.world.path(source, ""))

    def _read(self) -> Reading:
        reading = read_sources(self.world)
        self.texts |= reading.texts
        self.readings += 1
        return reading

    def _target(self, reading: Reading) -> Snapshot:
        """Return what production is after a refresh with this reading that nothing stops."""
        served: dict[str, DocumentState] = self.served.documents if self.served else {}
        return Snapshot(after_refresh(served, reading), self.world.settings["chunk_size"])

    def _is_served(self, target: Snapshot) -> bool:
        return self.served == target

    def _counted(self, reading: Reading, number: int) -> None:
        """Note the reading of a refresh that ended well, source by source."""
        for source in reading.complete_sources:
            self.last_that_counted[source] = max(self.last_that_counted[source], number)

    def _keep(self, outcome: Outcome, reading: Reading) -> None:
        production = self.world.production().production
        self.pending = Pending(outcome, reading, self.readings, production)

    def _promoted(self, target: Snapshot) -> None:
        """Note a promotion, if there was anything to promote."""
        if not self._is_served(target):
            self.served, self.previous, self.held = target, self.served, None

    def _either(self, target: Snapshot) -> None:
        """Note a promotion, if there was one. What it promoted is compared afterwards."""
        if self.world.production().production != self.state.production:
            self._promoted(target)

    def _did(self, what: str) -> None:
        steps_taken[what] += 1
        self.has_changed = True

    def _check(self, done: str) -> None:
        self._did(done)
        self.has_changed = done != "refresh"
        before, self.state = self.state, self.world.production()
        known: dict[str | None, Snapshot | None] = {
            self.state.production: self.served,
            self.state.previous: self.previous,
            self.state.held: self.held,
        }
        assert (self.state.production is None) == (self.served is None), f"after {done}: {self.state}"
        assert (self.state.previous is None) == (self.previous is None), f"after {done}: {self.state}"
        assert (self.state.held is None) == (self.held is None), f"after {done}: {self.state}"
        for generation, snapshot in known.items():
            if generation is None or snapshot is None:
                continue
            assert problems_of(self.world, generation) == (), f"after {done}: {generation}"
            if generation not in (before.production, before.previous, before.held) or done.startswith("lose"):
                expected = points_from_nothing(self.world, snapshot, self.texts)
                assert_same_points(stored_points(self.world, generation), expected)
        if self.served is not None:
            known_now = known_documents(self.world)
            assert known_now == self.served.documents, f"after {done}"

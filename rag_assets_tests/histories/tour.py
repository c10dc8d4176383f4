"""One history by hand with every kind of step, in an order with a use for each: it finds every mutant within a minute."""

import contextlib
from collections.abc import Iterator

from rag_assets_tests.histories.machine import TEXTS, KnowledgeBaseMachine
from rag_assets_tests.histories.world import STEPS


@contextlib.contextmanager
def fresh_machine() -> Iterator[KnowledgeBaseMachine]:
    machine = KnowledgeBaseMachine()
    try:
        machine.begin()
        yield machine
    finally:
        machine.teardown()


def take_the_tour() -> None:
    """Walk through a history.

    Raises:
        AssertionError: the core disagrees with the model.
    """
    with fresh_machine() as machine:
        first, second, other = ("one", "a.md"), ("two", "sub/c.md"), ("one", "b.md")
        machine.write(place=first, text=TEXTS[0])
        machine.write(place=other, text=TEXTS[2])
        machine.refresh()
        machine.damage_the_candidate(what="locations")  # nothing to damage: production is the candidate
        machine.copy(which=0, to=second)
        machine.damage_the_candidate(what="locations")
        machine.refresh()
        machine.write(place=first, text=TEXTS[6])
        machine.refresh()
        machine.write(place=first, text=TEXTS[7])
        machine.lose(what="ledger")
        machine.refresh()
        machine.write(place=other, text=TEXTS[4])
        machine.refresh()  # the other document is not read, and keeps its metadata
        machine.write(place=first, text=TEXTS[0])
        machine.write(place=other, text=TEXTS[2])
        machine.refresh()
        machine.move(which=1, to=("two", "b.md"))
        machine.fail_the_gate(ignoring_gate=False)
        machine.fail_the_gate(ignoring_gate=True)
        machine.execute_again()
        machine.refresh()
        machine.break_file(which=0, content=b"\x00\xff\x00")
        machine.write(place=other, text=TEXTS[5])
        machine.refresh()
        machine.lose(what="ledger")
        machine.unplug()
        machine.write(place=first, text=TEXTS[1])
        machine.lose(what="texts")
        machine.refresh()
        machine.unplug()
        machine.delete(which=0)
        machine.refresh()
        machine.set_chunk_size(chunk_size=24)
        machine.refresh()
        machine.write(place=first, text=TEXTS[3])
        machine.kill_before_step(step=STEPS[-1])
        machine.roll_back()
        machine.resume()
        machine.execute_again()
        machine.set_chunk_size(chunk_size=16)
        machine.refresh()
        machine.roll_back()
        machine.write(place=other, text=TEXTS[0])
        machine.refresh()  # held
        machine.execute_again()
        machine.set_chunk_size(chunk_size=24)
        machine.refresh()  # held with other settings, too
        machine.write(place=("one", "sub/c.md"), text=TEXTS[4])
        machine.refresh()
        machine.resume()
        machine.kill_in_call(nth=700, clean=False)
        machine.kill_in_call(nth=900, clean=True)
        machine.lose(what="artifacts")
        machine.refresh()

"""The aliases of one knowledge base on a server: the pointer to production, changed by compare-and-swap.

    <kb>                             alias of production, for any client
    <kb>--previous, <kb>--held       aliases of the previous and the held generation
    <kb>--hold--<generation>         alias of <kb>--meta: the hold, even after the held generation was deleted by hand
    <kb>--note--<i>--<text>          alias of <kb>--meta: part i of who set the hold, when and why. See `hold_note.py`
    <kb>--sealed--<generation>       alias of a promotable generation, --rejected-- after it failed its gate,
                                     --discarded-- before its deletion
    <kb>--reading--<n>               alias of <kb>--meta: the last reading of the sources has number n
    <kb>--counted--<n>--<source>     alias of <kb>--meta: reading n of this source was the last to count
    <kb>--base--<n>--<production>    alias of <kb>--meta: the token of the compare-and-swap, with eight random digits at
                                     its end
    <kb>--id--<format>--<id>         alias of <kb>--meta: format and id of the knowledge base. Its metadata hold them too,
                                     but are away with the nodes that hold <kb>--meta. Aliases are on every node

A server applies the operations of one alias batch under one lock, in order, and stops at the first failure. It keeps
the operations before the failure. So a batch begins with operations able to fail, but invisible to readers:

1. Renaming `--sealed--<generation>` to itself proves: the candidate still exists, and no process is deleting it.
2. Renaming the token from `n` to `n + 1` proves: the aliases are unchanged since they were read.

A cluster gives equal batches of two nodes the answer of the first one, although the second fails. So no two batches may
be equal: each token ends with random digits.

Both operations work on the in-memory client too. The token points to `--meta`, so deleting a generation never deletes it. Its
number distinguishes an unchanged production from one replaced and then restored.
"""

import random
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rag_assets.errors import ConfigurationError, VectorStoreUnavailable
from rag_assets.records import Readings
from rag_assets.vector_stores.names import SEPARATOR
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.promotion_rules import count_readings, next_reading
from rag_assets.vector_stores.server.collections import FORMAT_VERSION, Collections
from rag_assets.vector_stores.server.hold_note import hold_from, note_of
from rag_assets.vector_stores.server.server_errors import server_errors

BOOTSTRAP_TIMEOUT_SECONDS = 10.0
_SWAP_ATTEMPTS = 20
_LONGEST_PAUSE_SECONDS = 1.0

SEALED, REJECTED, DISCARDED = "sealed", "rejected", "discarded"
"""Marks of a generation, part of the name of an alias."""


@dataclass(frozen=True, slots=True)
class AliasView:
    """The aliases of the knowledge base, read once.

    Attributes:
        token: the alias to be renamed by the next change. None before the first.
        number: number of the token.
        marks: generation -> `sealed`, `rejected` or `discarded`.
        readings: numbers of the readings of the sources.
        names: all aliases of the server, for deleting only existing ones.
        knowledge_base_id: None if it is only in the metadata of `--meta`.
    """

    state: ProductionState
    token: str | None
    number: int
    marks: dict[str, str] = field(default_factory=dict[str, str])
    readings: Readings = field(default_factory=Readings)
    names: frozenset[str] = frozenset()
    knowledge_base_id: str | None = None


class Aliases:
    """The aliases of one knowledge base. Nothing is sent before the first call."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections
        self._client = collections.client
        self._consensus = collections.consensus
        self._name = collections.name_of

    def find_knowledge_base_id(self) -> str | None:
        return self.look().knowledge_base_id or self._collections.find_knowledge_base_id()

    def bootstrap(self, new_id: str = "") -> None:
        """Create `--meta` and its aliases, if missing. Of several processes at once, one creates the token.

        Args:
            new_id: of the knowledge base, random if it is empty.
        """
        aliases = self.look()
        if aliases.knowledge_base_id is not None and aliases.token is not None:
            return
        identity, created = aliases.knowledge_base_id or self._collections.find_knowledge_base_id(), False
        if identity is None:
            identity, created = self._collections.create_meta(new_id)
        if aliases.knowledge_base_id is None:
            alias = self._name("id", str(FORMAT_VERSION), identity)
            self._create_alias_of_meta("store the id of the knowledge base", alias)
        # Creating an alias is unconditional: a second token, created late by a process that was suspended, could
        # allow two first promotions. So only the creator of the collection creates the token. Other processes
        # create it only after waiting for a creator that appears to have died. The highest number counts.
        deadline = time.monotonic() + BOOTSTRAP_TIMEOUT_SECONDS
        while (aliases := self.look()).token is None:
            if created or time.monotonic() > deadline:
                # Once: if another process has renamed it, a second one would be a token beside that.
                token = self._token_name(0, aliases.state.production)
                self._create_alias_of_meta("create the token of promotions", token)
                if not self._consensus.seen(lambda: self.look().token):
                    raise VectorStoreUnavailable(
                        f"the alias {token} was created, and is not there when the aliases are read: retry"
                    )
            else:
                time.sleep(0.1)

    def _create_alias_of_meta(self, what: str, alias: str) -> None:
        from qdrant_client import models

        with server_errors(self._client, what):
            create = models.CreateAlias(collection_name=self._name("meta"), alias_name=alias)
            self._client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])

    def _token_name(self, number: int, production: str | None) -> str:
        return self._name("base", str(number), production or "none")

    def look(self) -> AliasView:
        with server_errors(self._client, "read the aliases"):
            found = {one.alias_name: one.collection_name for one in self._client.get_aliases().aliases}
        serving: dict[str, str | None] = {}
        for key, alias in (
            ("production", self._collections.knowledge_base),
            ("previous", self._name("previous")),
            ("held", self._name("held")),
        ):
            target = found.get(alias)
            serving[key] = self._collections.generation_of(target) if target is not None else None
            if target is not None and serving[key] is None:
                raise ConfigurationError(
                    f"the alias {alias} points to {target}, not to a generation of this knowledge base: choose "
                    "another name for the knowledge base"
                )
        readings = Readings()
        tokens: list[tuple[int, str]] = []
        marks: dict[str, str] = {}
        identity = None
        for alias in found:
            if alias.startswith(self._name("id", "")):
                version, _, identity = alias.removeprefix(self._name("id", "")).partition(SEPARATOR)
                self._collections.check_format(version)
            readings = self._with_reading(readings, alias)
            number = re.fullmatch(re.escape(self._name("base", "")) + r"(\d+)--.+", alias)
            if number is not None:
                tokens.append((int(number[1]), alias))
            # State made before this alias existed has only `--held`.
            if serving["held"] is None and alias.startswith(self._name("hold", "")):
                serving["held"] = alias.removeprefix(self._name("hold", ""))
            for mark in (SEALED, REJECTED, DISCARDED):
                prefix = self._mark_name(mark, "")
                if alias.startswith(prefix):
                    marks[alias.removeprefix(prefix)] = mark
        top, token = max(tokens, default=(0, None))
        held = serving["held"]
        hold = hold_from(held, self._note_in(found)) if held is not None else None
        state = ProductionState(serving["production"], serving["previous"], hold)
        return AliasView(state, token, top, marks, readings, frozenset(found), identity)

    def _note_in(self, names: Iterable[str]) -> dict[int, str]:
        """Return the parts of the note about a hold, by their number."""
        pattern = re.compile(re.escape(self._name("note", "")) + r"(\d+)--(.+)")
        return {int(part[1]): part[2] for name in names if (part := pattern.fullmatch(name)) is not None}

    def _with_reading(self, readings: Readings, alias: str) -> Readings:
        last = re.fullmatch(re.escape(self._name("reading", "")) + r"(\d+)", alias)
        if last is not None:
            return replace(readings, last=max(readings.last, int(last[1])))
        counted = re.fullmatch(re.escape(self._name("counted", "")) + r"(\d+)--(.+)", alias)
        if counted is None:
            return readings
        number = max(int(counted[1]), readings.counted.get(counted[2], 0))
        return count_readings(readings, {counted[2]: number})

    def begin_reading(self, above: int = 0) -> int:
        """Store the number of a new reading and return it. It is never given twice."""
        number = 0

        def begin(readings: Readings) -> Readings:
            nonlocal number
            begun = next_reading(readings, above)
            number = begun.last
            return begun

        self.swap(lambda aliases: aliases.state, begin)
        return number

    def swap(
        self,
        change: Callable[[AliasView], ProductionState],
        count: Callable[[Readings], Readings] = lambda readings: readings,
    ) -> ProductionState:
        """Apply a change of state. If the aliases have changed in the meantime, compute it again and retry.

        Args:
            count: returns the new numbers of the readings.
        """
        for attempt in range(_SWAP_ATTEMPTS):
            if attempt:  # at random, so that processes that lost to each other do not meet again
                time.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.01 * 2**attempt)))  # noqa: S311
            aliases, new = self._consensus.settled(lambda: self._wished(change))
            old = aliases.state
            readings = count(aliases.readings)
            if new == old and readings == aliases.readings:
                return old
            if aliases.token is None:
                self.bootstrap()
                continue
            token = f"{self._token_name(aliases.number + 1, new.production)}{SEPARATOR}{secrets.token_hex(4)}"
            try:
                with server_errors(self._client, "switch the aliases"):
                    self._client.update_collection_aliases(self._operations(aliases, new, readings, token))
                self._consensus.seen(partial(self._has_moved_on, aliases))
                return new
            except VectorStoreUnavailable as error:
                # Refused, or the answer was lost: read the aliases to find out.
                after = self._look_after(aliases, error)
                if after.token == token and after.state == new and after.readings == readings:
                    return new
                if after.token == aliases.token and after.marks == aliases.marks:
                    raise
        raise VectorStoreUnavailable(f"lost the race to update the aliases {_SWAP_ATTEMPTS} times: retry")

    def _look_after(self, aliases: AliasView, error: VectorStoreUnavailable) -> AliasView:
        """Read the aliases after a change without an answer.

        Raises:
            VectorStoreUnavailable: they cannot be read either.
        """
        try:
            self._consensus.seen(partial(self._has_moved_on, aliases))
            return self.look()
        except VectorStoreUnavailable:
            raise VectorStoreUnavailable(f"{error}. It may have made the change") from None

    def _wished(self, change: Callable[[AliasView], ProductionState]) -> tuple[AliasView, ProductionState]:
        aliases = self.look()
        return aliases, change(aliases)

    def _has_moved_on(self, aliases: AliasView) -> bool:
        """Return whether the token or the marks are others than in an earlier view."""
        now = self.look()
        return (now.token, now.marks) != (aliases.token, aliases.marks)

    def _operations(
        self, aliases: AliasView, new: ProductionState, readings: Readings, token: str
    ) -> list[Any]:
        from qdrant_client import models

        def rename(old_name: str, new_name: str) -> Any:
            return models.RenameAliasOperation(
                rename_alias=models.RenameAlias(old_alias_name=old_name, new_alias_name=new_name)
            )

        def delete(alias: str) -> Any:
            return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))

        def create(alias: str, target: str) -> Any:
            alias_of = models.CreateAlias(collection_name=self._name(target), alias_name=alias)
            return models.CreateAliasOperation(create_alias=alias_of)

        operations: list[Any] = []
        if new.production is not None and new.production != aliases.state.production:
            mark = self._mark_name(aliases.marks.get(new.production, SEALED), new.production)
            operations.append(rename(mark, mark))
        operations.append(rename(aliases.token or "", token))
        # Before production, so that a batch broken off leaves no production with an uncounted reading.
        wanted, found = self._reading_names(readings), self._reading_names(aliases.readings)
        operations.extend(create(alias, "meta") for alias in sorted(wanted - found))
        operations.extend(delete(alias) for alias in sorted((found - wanted) & aliases.names))
        # Production before held and previous: if a later operation fails, readers still have a complete generation.
        for alias, old_target, target in (
            (self._collections.knowledge_base, aliases.state.production, new.production),
            (self._name("held"), aliases.state.held, new.held),
            (self._name("previous"), aliases.state.previous, new.previous),
        ):
            if target == old_target:
                continue
            if alias in aliases.names:
                operations.append(delete(alias))
            # A hold outlives its generation, deleted by hand.
            if target is not None and self._collections.exists(target):
                operations.append(create(alias, target))
        if new.hold != aliases.state.hold:
            prefixes = (self._name("hold", ""), self._name("note", ""))
            operations.extend(delete(alias) for alias in sorted(aliases.names) if alias.startswith(prefixes))
            if new.hold is not None:
                operations.append(create(self._name("hold", new.hold.generation), "meta"))
                parts = note_of(new.hold).items()
                operations.extend(create(self._name("note", str(part), text), "meta") for part, text in parts)
        return operations

    def _reading_names(self, readings: Readings) -> set[str]:
        counted = {self._name("counted", str(number), source) for source, number in readings.counted.items()}
        return counted | ({self._name("reading", str(readings.last))} if readings.last else set())

    def mark_sealed(self, generation: str) -> None:
        """Mark a generation as promotable."""
        from qdrant_client import models

        with server_errors(self._client, f"seal generation {generation}"):
            self._client.update_collection_aliases(
                [
                    models.CreateAliasOperation(
                        create_alias=models.CreateAlias(
                            collection_name=self._name(generation),
                            alias_name=self._mark_name(SEALED, generation),
                        )
                    )
                ]
            )
        self._consensus.seen(lambda: self.look().marks.get(generation) == SEALED)

    def move_mark(self, generation: str, old: str, new: str) -> None:
        from qdrant_client import models

        try:
            with server_errors(self._client, f"mark generation {generation} as {new}"):
                self._client.update_collection_aliases(
                    [
                        models.RenameAliasOperation(
                            rename_alias=models.RenameAlias(
                                old_alias_name=self._mark_name(old, generation),
                                new_alias_name=self._mark_name(new, generation),
                            )
                        )
                    ]
                )
        except VectorStoreUnavailable:
            if not self._consensus.seen(lambda: self.look().marks.get(generation) != old):
                raise
        else:
            self._consensus.seen(lambda: self.look().marks.get(generation) != old)

    def _mark_name(self, mark: str, generation: str) -> str:
        return self._name(mark, generation)

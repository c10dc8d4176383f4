"""The spending of runs in Redis. Every process writes its sums so far, and reading adds them up.

So a write may be repeated: after a lost answer it is unknown whether it happened. And a sum that could not be written is
written with the next one.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping

from rag_assets.ledgers.base import Spending
from rag_assets.ledgers.redis_connection import Command
from rag_assets.ledgers.redis_keys import json_in, sealed
from rag_assets.ledgers.rows import spending_of

Key = tuple[str, str, str]
"""Run, purpose and model."""


class SpentHere:
    """What this process has spent, by run, purpose and model."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._sums: dict[Key, Spending] = {}
        self._unwritten: set[Key] = set()
        self._lock = threading.Lock()

    def add(self, run_id: str, spent: Spending) -> None:
        with self._lock:
            key = (run_id, spent.purpose, spent.model)
            self._sums[key] = self._sums[key].plus(spent) if key in self._sums else spent
            self._unwritten.add(key)

    def commands(self, name: str) -> list[Command]:
        """Return the commands for everything not yet written.

        Args:
            name: of the hash.
        """
        with self._lock:
            return [("HSET", name, *self._field(key, self._sums[key])) for key in sorted(self._unwritten)]

    def was_written(self, commands: Iterable[Command]) -> None:
        written = {command[2]: command[3] for command in commands}
        with self._lock:
            for key in list(self._unwritten):
                field, value = self._field(key, self._sums[key])
                if _without_time(field, written.get(field)) == _without_time(field, value):
                    self._unwritten.discard(key)

    def has_unwritten(self) -> bool:
        return bool(self._unwritten)

    def forget(self, run_ids: Iterable[str]) -> None:
        gone = set(run_ids)
        with self._lock:
            self._sums = {key: spent for key, spent in self._sums.items() if key[0] not in gone}
            self._unwritten = {key for key in self._unwritten if key[0] not in gone}

    def _field(self, key: Key, spent: Spending) -> tuple[str, bytes]:
        field = json.dumps([*key, self._process])
        return field, sealed(field, json.dumps([spent.tokens, spent.usd, time.time()]).encode())


def _without_time(field: str, value: object) -> object:
    found = json_in(field, value)
    return found[:2] if isinstance(found, list) else None


def fields_of(fields: Iterable[str], run_ids: Iterable[str]) -> list[str]:
    """Return the fields of these runs, and those of no run."""
    gone = set(run_ids)
    return [field for field in fields if (key := _key_of(field)) is None or key[0] in gone]


def unused_fields(fields: Mapping[str, object], before: float) -> list[str]:
    """Return the fields last written before a time, and damaged ones."""
    found = {field: json_in(field, value) for field, value in fields.items()}
    return [field for field, value in found.items() if not _is_spending(value) or value[2] < before]


def added_up(fields: Mapping[str, object]) -> tuple[dict[str, list[Spending]], int]:
    """Return run -> its sums over all processes, and the number of fields that are none of ours."""
    sums: dict[Key, Spending] = {}
    num_misfits = 0
    for field, value in fields.items():
        key, found = _key_of(field), json_in(field, value)
        if key is None or not _is_spending(found):
            num_misfits += 1
            continue
        spent = Spending(key[1], key[2], found[0], found[1])  # type: ignore[arg-type]
        sums[key] = sums[key].plus(spent) if key in sums else spent
    rows = ((key[0], *key[1:], spent.tokens, spent.usd) for key, spent in sorted(sums.items()))
    return spending_of(rows), num_misfits


def _key_of(field: str) -> Key | None:
    try:
        match json.loads(field):
            case [str() as run_id, str() as purpose, str() as model, str()]:
                return run_id, purpose, model
            case _:
                return None
    except ValueError:
        return None


def _is_spending(value: object) -> bool:
    match value:
        case [int(), int() | float() | None, int() | float()]:
            return True
        case _:
            return False

"""The lease in Redis: taken and renewed by scripts, so that no other client comes in between.

Its times are those of the Redis server. So machines with different clocks agree on its age.
"""

from typing import Any

from rag_assets.ledgers.base import LeaseHolder
from rag_assets.ledgers.redis_connection import RedisConnection
from rag_assets.ledgers.redis_errors import is_of_another_type

_NOW = """
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
"""
_FIELDS = "'owner', 'host', 'pid', 'renewed_at'"
_TIDY = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
"""

_ACQUIRE = f"""
{_NOW}
{_TIDY}
local held = redis.call('HMGET', KEYS[1], {_FIELDS})
local complete = held[1] and held[2] and held[3] and held[4]
if complete and held[1] ~= ARGV[1] and not (held[1] == ARGV[4] and held[4] == ARGV[5]) then
  return {{held[1], held[2], held[3], held[4], now}}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'host', ARGV[2], 'pid', ARGV[3], 'renewed_at', now)
return {{}}
"""
"""Owner, host, pid, then owner and time of a lease found dead. Returns the holder, or nothing."""
_RENEW = f"""
{_NOW}
{_TIDY}
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'pid', ARGV[2], 'renewed_at', now)
return 1
"""
_RELEASE = f"""
{_TIDY}
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisLease:
    """The lease of one knowledge base, in one hash."""

    def __init__(self, connection: RedisConnection, key: str) -> None:
        self._connection = connection
        self._key = key

    def acquire(self, owner: str, host: str, pid: int, dead: LeaseHolder | None) -> LeaseHolder | None:
        found = ("", "") if dead is None else (dead.owner, _text_of(dead.renewed_at))
        answer = self._run(_ACQUIRE, owner, host, pid, *found)
        holder = _holder(answer)
        if answer and holder is None:  # a foreign value: of no refresh
            self._connection.call("DEL", self._key)
            return _holder(self._run(_ACQUIRE, owner, host, pid, *found))
        return holder

    def renew(self, owner: str, pid: int | None) -> bool:
        return self._run(_RENEW, owner, "" if pid is None else pid) == 1

    def release(self, owner: str) -> None:
        self._run(_RELEASE, owner)

    def holder(self) -> LeaseHolder | None:
        fields, (seconds, microseconds) = self._connection.call_all(
            [("HMGET", self._key, "owner", "host", "pid", "renewed_at"), ("TIME",)]
        )
        return (
            None if is_of_another_type(fields) else _holder([*fields, b"%d.%06d" % (seconds, microseconds)])
        )

    def _run(self, script: str, *arguments: Any) -> Any:
        return self._connection.call("EVAL", script, 1, self._key, *arguments)


def _text_of(renewed_at: float) -> str:
    return f"{renewed_at:.6f}"  # as the scripts write it


def _holder(answer: Any) -> LeaseHolder | None:
    try:
        owner, host, pid, renewed_at, now = (field.decode() for field in answer)
        return LeaseHolder(
            owner,
            host,
            int(pid) if pid else None,
            float(renewed_at),
            age_seconds=abs(float(now) - float(renewed_at)),
        )
    except (ValueError, TypeError, AttributeError):
        return None

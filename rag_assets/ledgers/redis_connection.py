"""The connection to Redis: one server, or the master that the Sentinels name. Every error is translated.

redis-py is imported here, when a connection is made. No other module of the package needs it at its import.
"""

import logging
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rag_assets.errors import ConfigurationError
from rag_assets.ledgers.redis_errors import is_of_another_type, translated
from rag_assets.redis_address import RedisAddress
from rag_assets.settings import Settings

BATCH = 1000
"""Commands in one round trip."""
_MOST_BYTES = 8_000_000
"""Of values in one round trip. With 3,072 dimensions a vector takes 12 kB."""
_logger = logging.getLogger(__name__)
_T = TypeVar("_T")
Command = tuple[Any, ...]
"""Name and arguments."""
_warned_about: set[str] = set()


class RedisConnection:
    """Sends commands. Nothing is sent before the first one.

    Args:
        client: of redis-py.
        timeout_seconds: of its answers, for messages.
    """

    def __init__(self, client: Any, address: RedisAddress, timeout_seconds: float) -> None:
        self._client = client
        self.address = address
        self._timeout_seconds = timeout_seconds

    def call(self, *command: Any) -> Any:
        """Send one command.

        Raises:
            LedgerUnavailable, ConfigurationError: no answer, or an error in place of one.
        """
        return self._translated(lambda: self._client.execute_command(*command))

    def call_all(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands, a thousand in each round trip, and return their answers.

        An answer is an exception if the key holds another type of value: see `is_of_another_type`.

        Raises:
            LedgerUnavailable, ConfigurationError: no answer, or one of them is an error.
        """
        answers: list[Any] = []
        for batch in _batches(commands):
            answers.extend(self._call_batch(batch))
        return answers

    def _call_batch(self, batch: Sequence[Command]) -> list[Any]:
        def run() -> list[Any]:
            with self._client.pipeline(transaction=False) as pipeline:
                for command in batch:
                    pipeline.execute_command(*command)
                answers = pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception) and not is_of_another_type(answer):
                    raise answer
            return answers

        return self._translated(run)

    def _translated(self, run: Callable[[], _T]) -> _T:
        from redis import RedisError

        try:
            return run()
        except (RedisError, OSError) as error:
            # From None: the text of the cause is in the message, if it helps.
            raise translated(error, self.address, self._timeout_seconds) from None

    def close(self) -> None:
        self._client.close()


def connect(
    settings: Settings, address: RedisAddress, kind: type[RedisConnection] = RedisConnection
) -> RedisConnection:
    """Return a connection. Nothing is sent yet.

    Raises:
        ConfigurationError: the file of certificates is unusable.
    """
    from redis import Redis
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    common: dict[str, Any] = {
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.redis_timeout_seconds,
        # Once more: the server may have closed an idle connection, or restarted.
        "retry": Retry(ConstantBackoff(0.1), 1),
        "protocol": 2,  # one answer for one command, also of old servers
        "driver_info": None,  # saves two commands that an ACL would have to allow
    }
    if address.tls:
        common |= _tls_options(settings.redis_ca_file)
    else:
        _warn_about_a_password_in_the_clear(address)
    login: dict[str, Any] = {
        "username": address.user or None,
        "password": address.password or None,
        "db": address.db,
    }
    if not address.sentinels:
        client = Redis(host=address.host, port=address.port, **login, **common)
    else:
        password = settings.redis_sentinel_password
        of_sentinels = {
            **common,
            "username": settings.redis_sentinel_user or None,
            "password": password.get_secret_value() if password else None,
        }
        sentinels = Sentinel(list(address.sentinels), sentinel_kwargs=of_sentinels, **common, **login)
        client = sentinels.master_for(address.host)
    return kind(client, address, settings.redis_timeout_seconds)


def _tls_options(ca_file: Path | None) -> dict[str, Any]:
    if ca_file is not None:
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl.SSLError too
            raise ConfigurationError(
                f"REDIS_CA_FILE is unusable: {ca_file} ({error.strerror or 'no certificates in PEM format'})"
            ) from None
    return {"ssl": True, "ssl_ca_certs": None if ca_file is None else str(ca_file)}


def _warn_about_a_password_in_the_clear(address: RedisAddress) -> None:
    host = address.host if not address.sentinels else address.sentinels[0][0]
    if not address.password or host == "localhost" or host.startswith("127.") or host == "::1":
        return
    if str(address) not in _warned_about:
        _warned_about.add(str(address))
        _logger.warning(
            "the password of Redis is sent to %s without encryption: use rediss:// in REDIS_URL, unless the network in "
            "between is yours",
            address,
        )


def _batches(commands: Iterable[Command]) -> Iterator[list[Command]]:
    iterator = iter(commands)
    while batch := list(islice(iterator, BATCH)):
        part: list[Command] = []
        size = 0
        for command in batch:
            size += sum(len(value) for value in command if isinstance(value, bytes))
            part.append(command)
            if size > _MOST_BYTES:
                yield part
                part, size = [], 0
        if part:
            yield part

"""The ledgers by setting: Redis if its URL or Sentinels are set, else one SQLite file in the state folder."""

from rag_assets.ledgers.base import Ledger
from rag_assets.settings import Settings

LEDGER_FILE = "ledger.sqlite"


def build_ledger(settings: Settings, knowledge_base_id: str) -> Ledger:
    """Return the ledger of a knowledge base.

    Raises:
        ConfigurationError: the URL of Redis or its file of certificates is unusable.
        LedgerUnavailable: the SQLite file cannot be opened. Redis is asked on first use.
    """
    address = settings.redis_address
    if address is None:
        from rag_assets.ledgers.sqlite import SqliteLedger

        return SqliteLedger(settings.state_dir / LEDGER_FILE, knowledge_base_id, settings.cache_ttl_seconds)
    from rag_assets.ledgers.redis import RedisLedger
    from rag_assets.ledgers.redis_connection import connect

    return RedisLedger(connect(settings, address), knowledge_base_id, settings.cache_ttl_seconds)


def build_read_only_ledger(settings: Settings, knowledge_base_id: str) -> Ledger:
    """Return the ledger of a knowledge base for reading. It changes nothing, and every write fails."""
    address = settings.redis_address
    if address is None:
        from rag_assets.ledgers.read_only_sqlite import ReadOnlySqliteLedger

        return ReadOnlySqliteLedger(settings.state_dir / LEDGER_FILE, knowledge_base_id)
    from rag_assets.ledgers.read_only_redis import ReadOnlyConnection, ReadOnlyRedisLedger
    from rag_assets.ledgers.redis_connection import connect

    return ReadOnlyRedisLedger(
        connect(settings, address, ReadOnlyConnection), knowledge_base_id, settings.cache_ttl_seconds
    )

"""The code location for tests: a run without its lease is dead at the next tick, not after ten minutes.

`EXPIRED_AFTER_SECONDS` is the time of a lease without renewal.
"""

import os

from rag_assets.alerts import dead_runs
from rag_assets.definitions import defs
from rag_assets.ledgers import lease

__all__ = ["defs"]

lease.EXPIRED_AFTER_SECONDS = float(os.environ["EXPIRED_AFTER_SECONDS"])
dead_runs.DEAD_AFTER_SECONDS = 0.0

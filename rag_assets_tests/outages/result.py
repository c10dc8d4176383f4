"""The effect of one trouble on a refresh."""

from dataclasses import dataclass
from typing import Literal

Production = Literal["as before", "new"]


@dataclass(frozen=True)
class Result:
    """The effect of one trouble.

    Attributes:
        production: `as before` or `new`.
        says: the message of the failed refresh, or the warnings of a successful one. () if one lost answer did no harm.
    """

    production: Production
    says: tuple[str, ...]

"""The pointer to production: the generation served now, the one before it, and the hold of a person."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """The decision of a person: production stays where a rollback has put it.

    Attributes:
        generation: the one taken out of service.
        since: ISO 8601 in UTC, "" if unknown.
        by: name of the person, "" if unknown.
        reason: "" if none was given.
    """

    generation: str
    since: str = ""
    by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else " (no reason given)"
        return f"since {self.since or 'an unknown time'} by {self.by or 'an unknown person'}{why}"


@dataclass(frozen=True, slots=True)
class ProductionState:
    """The generation in production, the one before it, and the hold after a rollback.

    Attributes:
        production: the generation in production. None before the first promotion.
        previous: the one before it, the target of a rollback.
        hold: set by a rollback. New candidates wait until a person resumes.
    """

    production: str | None = None
    previous: str | None = None
    hold: Hold | None = None

    @property
    def held(self) -> str | None:
        """The generation taken out of service by a rollback."""
        return self.hold.generation if self.hold is not None else None

    @property
    def kept(self) -> frozenset[str]:
        """The generations that are never discarded: a reader or a rollback can reach each of them."""
        return frozenset(name for name in (self.production, self.previous, self.held) if name)

    @property
    def hold_in_words(self) -> str:
        """A clause about the hold: the generation held in production, since when, by whom and why. "" without a hold."""
        return f"production is held at {self.production or 'nothing'} {self.hold}" if self.hold else ""

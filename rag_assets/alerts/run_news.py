"""News about one run, for its message."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rag_assets.alerts.book import Incident
from rag_assets.alerts.run_facts import RunFacts


@dataclass(slots=True)
class RunNews:
    """Begun and ended incidents of one run, and other news.

    Attributes:
        opened: the incident begun by it.
        ended: incidents ended by it.
        unreadable: source -> problem, for sources readable until now.
        is_live: whether its candidate went live.
    """

    run: RunFacts
    opened: Incident | None = None
    ended: list[Incident] = field(default_factory=list[Incident])
    unreadable: Mapping[str, str] = field(default_factory=dict[str, str])
    damage: str = ""
    is_live: bool = False

    @property
    def is_alert(self) -> bool:
        return bool(self.opened or self.ended or self.unreadable or self.damage)

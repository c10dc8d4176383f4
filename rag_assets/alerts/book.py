"""The book of alerts: open incidents, waiting messages, and finished runs. Plain data, bounded in size."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

MOST_WAITING = 50
_MOST_RUNS = 1000
_MOST_INCIDENTS = 50
_MOST_FOLDED = 100
VERSION = 1
_DIED = "died"
START = "start:"
"""Begin of the key of an incident about schedules and sensors, not about runs."""


@dataclass(slots=True)
class Incident:
    """A problem from its first message until its end.

    Attributes:
        key: the same for two runs with the same problem.
        title: in words, for messages.
        since, told_at: seconds since the epoch. The last message was at `told_at`.
        run_id, last_run_id: the first run with it, and the last.
    """

    key: str
    title: str
    since: float
    told_at: float
    run_id: str
    last_run_id: str
    num_runs: int = 1

    @property
    def source(self) -> str:
        """The unreadable source, "" for other incidents."""
        return self.key.partition("source:")[2]

    @property
    def is_start(self) -> bool:
        """Whether a schedule or a sensor fails."""
        return self.key.startswith(START)

    @property
    def is_refresh(self) -> bool:
        """Whether it is about whole refreshes: the next successful one ends it."""
        return not self.source and not self.is_start


@dataclass(slots=True)
class Waiting:
    """A message not delivered yet, queued at a time in seconds since the epoch."""

    title: str
    payload: dict[str, Any]
    queued_at: float


@dataclass(slots=True)
class Folded:
    """A message to be reported together with others, because there are too many."""

    title: str
    run_id: str
    at: float


@dataclass(slots=True)
class Book:
    """The knowledge from one tick to the next.

    Attributes:
        incidents: key -> incident.
        runs: the last runs dealt with, the oldest first.
        sent_at: kind of message -> times of the last hour.
        folded: kind of message -> messages too many for this hour.
        hold_told_at: of the last reminder, by the beginning of the hold.
        lease_lost_at: run -> time since when it goes on without the lease.
        lost: undelivered messages, dropped and not reported yet.
        not_before: time until when Slack asks to wait.
    """

    incidents: dict[str, Incident] = field(default_factory=dict[str, Incident])
    outbox: list[Waiting] = field(default_factory=list[Waiting])
    runs: list[str] = field(default_factory=list[str])
    sent_at: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    folded: dict[str, list[Folded]] = field(default_factory=dict[str, list[Folded]])
    hold_told_at: dict[str, float] = field(default_factory=dict[str, float])
    lease_lost_at: dict[str, float] = field(default_factory=dict[str, float])
    lost: list[Folded] = field(default_factory=list[Folded])
    not_before: float = 0.0

    def take_run(self, run_id: str) -> bool:
        """Note a run as dealt with. Return False if it was so before."""
        if run_id in self.runs:
            return False
        self.runs = [*self.runs, run_id][-_MOST_RUNS:]
        return True

    def knows(self, run_id: str, *, is_success: bool) -> bool:
        """Whether a run is dealt with. A paused one, taken for dead, may come back and succeed: that is news."""
        came_back = is_success and any(
            one.key == _DIED and run_id in (one.run_id, one.last_run_id) for one in self.incidents.values()
        )
        if came_back:
            self.runs = [one for one in self.runs if one != run_id]
        return run_id in self.runs

    def open(self, incident: Incident) -> None:
        self.incidents[incident.key] = incident
        for key in list(self.incidents)[:-_MOST_INCIDENTS]:
            del self.incidents[key]

    def queue(self, title: str, payload: dict[str, Any], now: float) -> None:
        self.outbox.append(Waiting(title, payload, now))
        while len(self.outbox) > MOST_WAITING:
            self.give_up(self.outbox[0])

    def give_up(self, message: Waiting) -> None:
        """Drop a message. The next delivery tells it."""
        self.outbox.remove(message)
        self.lost = [*self.lost, Folded(message.title, "", message.queued_at)][-_MOST_FOLDED:]

    def fold(self, kind: str, title: str, run_id: str, now: float) -> None:
        self.folded[kind] = [*self.folded.get(kind, ()), Folded(title, run_id, now)][-_MOST_FOLDED:]

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Raise ValueError, TypeError, KeyError or AttributeError if it was not written by this version."""
        if stored.get("version") != VERSION:
            raise ValueError("unknown version")
        return cls(
            incidents={key: Incident(**one) for key, one in stored["incidents"].items()},
            outbox=[Waiting(**one) for one in stored["outbox"]],
            runs=[str(run_id) for run_id in stored["runs"]],
            sent_at={kind: [float(at) for at in times] for kind, times in stored["sent_at"].items()},
            folded={kind: [Folded(**one) for one in some] for kind, some in stored["folded"].items()},
            hold_told_at={str(since): float(at) for since, at in stored["hold_told_at"].items()},
            lease_lost_at={str(run_id): float(at) for run_id, at in stored["lease_lost_at"].items()},
            lost=[Folded(**one) for one in stored["lost"]],
            not_before=float(stored["not_before"]),
        )

"""Tells a knowledge base's ended runs: decides with its book, and delivers to Slack. Never fails its caller."""

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from rag_assets.alerts import messages
from rag_assets.alerts.book import Book
from rag_assets.alerts.book_file import BookFile, BusyError
from rag_assets.alerts.courier import Report, deliver
from rag_assets.alerts.delivery import TOTAL_SECONDS, Delivery, post_to_slack
from rag_assets.alerts.rules import decide
from rag_assets.alerts.run_facts import Place, RunFacts, Situation
from rag_assets.alerts.triggers import Triggers
from rag_assets.errors import MENDED_BY_REBUILD, ConfigurationError, RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings
from rag_assets.sources.declarations import source_names
from rag_assets.time_limits import NothingCame, within

_STORE_SECONDS = 5.0


def place_of(settings: Settings) -> Place:
    return Place(
        settings.collection, settings.deployment or f"machine {socket.gethostname()}", settings.dagster_url
    )


class Teller:
    """Reports the runs of one knowledge base.

    Attributes:
        book_file: shared by the command line and the sensor.
    """

    def __init__(self, knowledge_base: KnowledgeBase) -> None:
        self._knowledge_base = knowledge_base
        settings = knowledge_base.settings
        self.book_file = BookFile(settings.state_dir / "alerts" / settings.collection)

    @property
    def is_on(self) -> bool:
        return self._knowledge_base.settings.slack_webhook_url is not None

    def tell(self, runs: Iterable[RunFacts], seconds: float = TOTAL_SECONDS) -> Report | None:
        """Decide about these runs, and deliver all waiting messages.

        Returns:
            None if another process is at it. Then nothing is decided.
        """
        deadline = time.monotonic() + seconds
        try:
            with self.book_file.locked(deadline) as book:
                return self.tell_in(book, runs, deadline)
        except BusyError:
            return None

    def tell_in(
        self,
        book: Book,
        runs: Iterable[RunFacts],
        deadline: float,
        triggers: Triggers | None = None,
        situation: Situation | None = None,
    ) -> Report:
        """Do the same with a locked book, until the deadline by the monotonic clock.

        Args:
            triggers: None if they are not looked at.
            situation: None to look at production.
        """
        place, now = place_of(self._knowledge_base.settings), time.time()
        decide(book, runs, situation or self.situation(), place, now, triggers)
        # Before anything is sent: a process killed now repeats nothing, and forgets nothing.
        self.book_file.write(book)
        return deliver(
            book, lambda: self.book_file.write(book), self.post, place, now, deadline - time.monotonic()
        )

    def post(self, payload: dict[str, Any], seconds: float) -> Delivery:
        """Post one payload. Never raises."""
        url = self._knowledge_base.settings.slack_webhook_url
        if url is None:
            return Delivery("SLACK_WEBHOOK_URL is not set")
        try:
            return post_to_slack(url.get_secret_value(), payload, seconds)
        except RagAssetsError as error:  # a secret in AWS is fetched at its use
            return Delivery(str(error))

    def send_test(self) -> Delivery:
        """Post a test message, past the waiting ones."""
        message = messages.trial(place_of(self._knowledge_base.settings), time.time())
        return self.post(dict(message.payload()), TOTAL_SECONDS)

    def situation(self) -> Situation:
        """Return the state of production, as far as it answers."""
        try:
            return within(_STORE_SECONDS, self._situation)
        except (RagAssetsError, NothingCame):
            return Situation("unknown, the vector store does not answer", sources=self._sources())

    def _situation(self) -> Situation:
        state = self._knowledge_base.vector_store.production_state()
        return Situation(state.production or "", self._damage(), state.hold, self._sources())

    def _damage(self) -> str:
        try:
            manifest = self._knowledge_base.production_manifest()
        except MENDED_BY_REBUILD as error:
            return str(error)
        except RagAssetsError:
            return ""
        return manifest.damaged if manifest is not None else ""

    def _sources(self) -> frozenset[str] | None:
        settings = self._knowledge_base.settings
        with suppress(ConfigurationError):
            return frozenset(source_names(settings.sources, settings.sources_file))
        return None

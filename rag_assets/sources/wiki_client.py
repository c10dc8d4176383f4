"""Requests to the API of a wiki, for sources such as Confluence and Notion.

An answer is a JSON object, or an error: a refusal by HTTP status, or an outage of the source. The text of an answer
is never part of an error, for it may be a document.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rag_assets.errors import SourceUnavailable
from rag_assets.time_limits import NothingCame, within

Json = Mapping[str, Any]

_REASONS = {403: "denied access", 429: "is limiting the rate of requests"}


class Refused(Exception):
    """An HTTP status other than 200.

    Attributes:
        problem: clause for a message, such as `denied access (HTTP 403)`.
        lasting: whether a key or an address is refused, until a person acts.
    """

    def __init__(self, status: int, reasons: Mapping[int, str]) -> None:
        super().__init__(str(status))
        self.status = status
        self.lasting = status in (401, 403, 404)
        known = {**_REASONS, **reasons}
        self.problem = f"{known.get(status, 'did not answer as expected')} (HTTP {status})"


class WikiClient:
    """Asks for JSON objects, each within a time limit.

    Args:
        source: name of the source.
        wiki: product and address, such as `Notion at https://api.notion.com`.
        advice: last sentence of every error about an outage.
    """

    def __init__(self, source: str, wiki: str, advice: str) -> None:
        self._source = source
        self._wiki = wiki
        self._advice = advice

    def ask(
        self, request: Callable[[], Any], patience_seconds: float, client_errors: tuple[type[Exception], ...]
    ) -> Json:
        """Make a request and return the JSON object in its answer.

        Args:
            request: returns decoded JSON, and raises `Refused` for any status other than 200.
            patience_seconds: time limit of the request, its retries included.
            client_errors: errors of the HTTP client.

        Raises:
            Refused: raised by the request.
            SourceUnavailable: no answer in time, or not a JSON object.
        """
        try:
            answer = within(patience_seconds, request)
        except NothingCame:
            raise self.unavailable("did not answer in time") from None
        except (*client_errors, OSError, ValueError) as error:
            raise self.unavailable(f"did not answer as expected ({type(error).__name__})") from None
        if not isinstance(answer, dict):
            raise self.unavailable("did not answer with a JSON object")
        return answer

    def unavailable(self, problem: str, *, lasting: bool = False) -> SourceUnavailable:
        """Return the error for an outage.

        Args:
            problem: clause without a subject, such as `did not answer in time`.
            lasting: see `SourceUnavailable`.
        """
        return SourceUnavailable(
            f"source {self._source}: {self._wiki} {problem}. {self._advice}", lasting=lasting
        )


def one_line(text: Any) -> str:
    """Return a title on one line, in valid Unicode: JSON may hold half of a surrogate pair."""
    return " ".join(str(text).split()).encode(errors="replace").decode()

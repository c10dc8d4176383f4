"""Delivery of messages to a Slack webhook, within a time limit. The URL of the webhook is a secret and is never repeated."""

import http
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_assets.errors import causes_of
from rag_assets.time_limits import NothingCame, within

if TYPE_CHECKING:
    from slack_sdk.webhook import WebhookClient

_STEP_SECONDS = 10
TOTAL_SECONDS = 30.0
# Slack explains a refusal in one word: no_service, channel_not_found, invalid_payload.
_SLACK_REASON = re.compile(r"[a-z_]{3,40}")
_NO_URL = "SLACK_WEBHOOK_URL is not a valid http or https URL"
MOST_WAIT_SECONDS = 3600.0
_UNSTATED_WAIT_SECONDS = 60.0
_TOO_MANY_REQUESTS = 429
_FOR_THIS_MESSAGE = (400, 413)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one attempt.

    Attributes:
        problem: the reason for a failure, without the URL. "" after delivery.
        wait_seconds: time to wait before the next attempt, as asked by Slack.
        is_refused: whether Slack refuses this message. Sending it again is useless.
    """

    problem: str = ""
    wait_seconds: float = 0.0
    is_refused: bool = False


def post_to_slack(webhook_url: str, payload: Mapping[str, Any], seconds: float = TOTAL_SECONDS) -> Delivery:
    """Post one message, in at most so many seconds. Never raises.

    Args:
        payload: `text` and `blocks`.
    """
    try:
        return within(seconds, lambda: _post(webhook_url, payload))
    except NothingCame:
        return Delivery(f"Slack did not answer within {seconds:g} s")
    except Exception as error:
        # Observers fail open. The message of an unknown error may quote the URL, so only its type is reported.
        return Delivery(f"posting to Slack failed with {type(error).__name__}")


def _post(webhook_url: str, payload: Mapping[str, Any]) -> Delivery:
    from http.client import HTTPException, InvalidURL
    from urllib.error import URLError

    if not webhook_url.lower().startswith(("http://", "https://")):
        return Delivery(_NO_URL)
    try:
        answer = _client(webhook_url).send_dict(dict(payload))
    except (InvalidURL, UnicodeError):
        return Delivery(_NO_URL)
    except TimeoutError:
        return Delivery(f"Slack did not answer within {_STEP_SECONDS:g} s")
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            return Delivery(f"no connection to Slack within {_STEP_SECONDS:g} s")
        return Delivery(f"no connection to Slack: {_cause(error)}")
    except (HTTPException, OSError) as error:
        return Delivery(f"the connection to Slack broke: {_cause(error)}")
    status, is_success = answer.status_code, 200 <= answer.status_code < 300
    return Delivery() if is_success else _refusal(status, answer.body or "", answer.headers, webhook_url)


def _client(webhook_url: str) -> "WebhookClient":
    """Return Slack's own client, without its logs and redirects.

    It logs each request with its URL. A redirect it would follow with a GET, and take any page for an accepted message. Retries
    are for the next tick: its own ones would wait inside of this one.
    """
    import urllib.request

    from slack_sdk.webhook import WebhookClient, WebhookResponse

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **_named: Any) -> None:
            return None

    class Client(WebhookClient):
        def _perform_http_request_internal(self, url: str, req: urllib.request.Request) -> WebhookResponse:
            with urllib.request.build_opener(Stay).open(req, timeout=self.timeout) as answer:
                return WebhookResponse(url=url, status_code=answer.status, body="", headers={})

    silent = logging.Logger("slack", logging.CRITICAL + 1)
    return Client(webhook_url, timeout=_STEP_SECONDS, logger=silent, retry_handlers=[])


def _refusal(status: int, body: str, headers: Mapping[str, Any], webhook_url: str) -> Delivery:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "unknown status"
    reason = body.strip() if _SLACK_REASON.fullmatch(body.strip()) else ""
    shown = f": {reason}" if reason and reason not in webhook_url else ""
    problem = f"Slack refused the message with status {status} ({phrase}){shown}"
    wait_seconds = _asked_wait(headers) if status == _TOO_MANY_REQUESTS else 0.0
    return Delivery(problem, wait_seconds, is_refused=status in _FOR_THIS_MESSAGE)


def _asked_wait(headers: Mapping[str, Any]) -> float:
    asked = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(asked), MOST_WAIT_SECONDS) if asked.isdecimal() else _UNSTATED_WAIT_SECONDS


def _cause(error: BaseException) -> str:
    """Return the reason of the operating system or of TLS. Other texts may quote the URL."""
    from urllib.error import URLError

    first = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
    for cause in causes_of(first):
        if isinstance(cause, ssl.SSLError):
            return f"TLS error {getattr(cause, 'reason', None) or type(cause).__name__}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(first).__name__

"""Delivery of alerts to a Slack webhook, within a time limit. The URL of the webhook is a secret and is never repeated."""

import http
import logging
import re
import ssl

from rag_assets.errors import causes_of
from rag_assets.time_limits import NothingCame, within

# httpx2 logs the URL of every request at INFO.
logging.getLogger("httpx2").setLevel(logging.WARNING)

_STEP_SECONDS = 10.0
_TOTAL_SECONDS = 30.0
# Slack explains a refusal in one word: no_service, channel_not_found, invalid_payload.
_SLACK_REASON = re.compile(rb"[a-z_]{3,40}")


def post_to_slack(webhook_url: str, text: str) -> str:
    """Post one message, in at most 30 seconds.

    Returns:
        An empty string after delivery, otherwise the reason for the failure, without the URL.
    """
    try:
        return within(_TOTAL_SECONDS, lambda: _post(webhook_url, text))
    except NothingCame:
        return f"Slack did not answer within {_TOTAL_SECONDS:g} s"
    except Exception as error:
        # Observers fail open. The message of an unknown error may quote the URL, so only its type is reported.
        return f"posting to Slack failed with {type(error).__name__}"


def _post(webhook_url: str, text: str) -> str:
    import httpx2

    try:
        with httpx2.stream("POST", webhook_url, json={"text": text}, timeout=_STEP_SECONDS) as response:
            if response.is_success:
                return ""
            return _refusal(response.status_code, next(response.iter_bytes(100), b""), webhook_url)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        return "SLACK_WEBHOOK_URL is not a valid http or https URL"
    except httpx2.ConnectTimeout:
        return f"no connection to Slack within {_STEP_SECONDS:g} s"
    except httpx2.TimeoutException:
        return f"Slack did not answer within {_STEP_SECONDS:g} s"
    except httpx2.ConnectError as error:
        return f"no connection to Slack: {_cause(error)}"
    except httpx2.HTTPError as error:
        return f"the connection to Slack broke: {_cause(error)}"


def _refusal(status: int, body: bytes, webhook_url: str) -> str:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "unknown status"
    reason = body.strip().decode("ascii", "replace") if _SLACK_REASON.fullmatch(body.strip()) else ""
    shown = f": {reason}" if reason and reason not in webhook_url else ""
    return f"Slack refused the message with status {status} ({phrase}){shown}"


def _cause(error: BaseException) -> str:
    """Return the reason of the operating system or of TLS. Other texts may quote the URL."""
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLError):
            return f"TLS error {getattr(cause, 'reason', None) or type(cause).__name__}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__

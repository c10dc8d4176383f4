"""Slack's markup: escaped texts, links and blocks within its limits. Foreign text mentions no one and formats nothing by accident."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_assets.secret_values import without_secrets
from rag_assets.text.control_characters import printable

# Slack refuses more: 3,000 characters in a block, 50 blocks. A longer text is cut, with Slack's advice of 4,000 characters.
_BLOCK_CHARACTERS = 3000
_MOST_BLOCKS = 50
_TEXT_CHARACTERS = 4000
_QUOTE_CHARACTERS = 1500
_ELLIPSIS = " …"
_PART_OF_ENTITY = re.compile(r"&[a-z]{0,3}$")
# Slack needs <!channel>, but servers that take Slack's messages also ring for a plain @channel.
_MENTION = re.compile(r"@(?=(?:all|channel|everyone|here)\b)", re.IGNORECASE)
_NO_BREAK = "\u2060"


def quoted(text: str, limit: int = _QUOTE_CHARACTERS) -> str:
    """Return a foreign text for a message, escaped and shortened."""
    escaped = printable(without_secrets(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _cut(_MENTION.sub(f"@{_NO_BREAK}", escaped), limit)


def code(text: str) -> str:
    """Return a name in Slack's code style."""
    return f"`{quoted(text.replace('`', chr(39)), 200)}`"


def link(url: str, text: str) -> str:
    return f"<{url}|{quoted(text)}>"


def _cut(escaped: str, limit: int) -> str:
    if len(escaped) <= limit:
        return escaped
    return _PART_OF_ENTITY.sub("", escaped[: limit - len(_ELLIPSIS)]) + _ELLIPSIS


@dataclass(frozen=True, slots=True)
class Message:
    """One message in Slack's markup.

    Attributes:
        title: one line. It is also the notification on a telephone.
        paragraphs: in order.
        footer: where, when and the links, in small letters.
    """

    title: str
    paragraphs: Sequence[str]
    footer: str

    def payload(self) -> Mapping[str, Any]:
        """Return the body of the request. `text` is for notifications, and for servers without blocks."""
        shown = [self.title, *self.paragraphs][: _MOST_BLOCKS - 1]
        return {
            "text": f"{_cut(chr(10).join(shown), _TEXT_CHARACTERS)}\n{self.footer}",
            "blocks": [
                *({"type": "section", "text": _markup(text)} for text in shown),
                {"type": "context", "elements": [_markup(self.footer)]},
            ],
            "unfurl_links": False,
            "unfurl_media": False,
        }


def _markup(text: str) -> dict[str, Any]:
    # Verbatim: otherwise Slack would turn names in the text into mentions and links.
    return {"type": "mrkdwn", "text": _cut(text, _BLOCK_CHARACTERS), "verbatim": True}

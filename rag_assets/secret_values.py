"""The secrets that this process knows, and texts without them.

Every error of the package, every log record and every unexpected error at the border to Dagster passes here. So the author of a
message need not know what a server, a driver or a package repeats. A secret is known once the environment, a file or AWS has
handed it over. Keys of known forms, logins in URLs and secret parameters are recognized without that.
"""

import base64
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from rag_assets.document_metadata.sensitive import SECRET_FORM, is_secret_key
from rag_assets.document_metadata.url_secrets import without_secret_parameters

HIDDEN = "…"
_MIN_CHARACTERS = 8
"""A shorter value would be hidden within other words."""
_WORD = re.compile(r"[a-z]{1,11}|[A-Z]{1,11}|[A-Z][a-z]{1,11}")
"""A weak password, such as `postgres`. It is also a name and a word of messages, and no text could be read without it."""
_SHORTENED = 8
"""Characters that give a secret away: drivers and servers cut off texts at any place."""
_WORDS = re.compile(r"[A-Za-z ]*")
"""The beginning of a passphrase is also that of a sentence: it is hidden only as a whole."""
# PWD is the working folder of a shell.
_NO_SECRET = re.compile(r"^(OLD)?PWD$|_(FILE|PATH|DIR|HOME|SOCK|SOCKET|AWS_SECRET|AWS_PARAMETER)$")
_LOGIN = re.compile(r"(?<=://)[^\s/@:'\"<>]*:([^\s/@]+)@")
_EXAMPLE = re.compile(r"password|…", re.IGNORECASE)
_CONNECTION_PASSWORD = re.compile(r"\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)

_known: dict[str, "_Secret"] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Secret:
    """A secret, or what base64 makes of it.

    Attributes:
        start: pattern of its first characters.
        rest: patterns of the others, one by one.
        hint: a part of any text with the start.
    """

    start: re.Pattern[str]
    rest: tuple[re.Pattern[str], ...]
    hint: str

    @classmethod
    def of(cls, text: str) -> Self:
        patterns = [_escaped_in_any_way(character) for character in text]
        hint = max(re.findall(r"[A-Za-z0-9]*", text[:_SHORTENED]), key=len)
        start = re.compile("".join(patterns[:_SHORTENED]))
        return cls(start, tuple(map(re.compile, patterns[_SHORTENED:])), hint)

    def places_in(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield start and end, also of a secret that was cut off."""
        if self.hint not in text:
            return
        for match in self.start.finditer(text):
            end = match.end()
            for one in self.rest:
                if (following := one.match(text, end)) is None:
                    break
                end = following.end()
            else:
                yield match.start(), end
                continue
            if _WORDS.fullmatch(text, match.start(), end) is None:
                yield match.start(), end


def remember(value: str) -> None:
    """Keep a secret out of all messages from now on: a key, or a URL or a connection string with one in it."""
    for secret in _secrets_in(value):
        if len(secret) < _MIN_CHARACTERS or _WORD.fullmatch(secret) or secret in _known:
            continue
        with _lock:
            _known.update({form: _Secret.of(form) for form in (secret, *_in_base64(secret))})


def remember_arguments(value: Any, name: str = "") -> None:
    """Keep the secrets among the arguments of a library out of all messages, at any depth: by their names.

    Args:
        value: a mapping, or a text with a JSON object.
        name: of the argument.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            remember_arguments(inner, name if _names_secret(name) else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            remember_arguments(inner, name)
    elif isinstance(value, str):
        if _names_secret(name):
            remember(value)
        else:
            remember_variables({"": value})


def _names_secret(name: str) -> bool:
    return is_secret_key(name.lower().replace("-", "_")) or name.lower() in ("key", "pass", "pw")


def remember_variables(variables: Mapping[str, str]) -> None:
    """Keep the secrets among environment variables out of all messages: by their names, and logins in URLs."""
    for name, value in variables.items():
        if _NO_SECRET.search(name):
            continue
        if is_secret_key(name.lower()):
            remember(value)
        elif "://" in value:
            for match in _LOGIN.finditer(value):
                remember(match[1])


def without_secrets(text: str) -> str:
    """Return a text with `…` in place of each secret in it."""
    places = sorted(place for secret in tuple(_known.values()) for place in secret.places_in(text))
    if places:
        text = _without(text, places)
    if "://" in text:
        text = _LOGIN.sub(_without_login, text)
    return without_secret_parameters(SECRET_FORM.sub(HIDDEN, text), HIDDEN)


class QuotedSecret(Exception):
    """Takes the place of an error that quoted a secret. Its message is the traceback without it."""


def shown_error(error: BaseException) -> BaseException:
    """Return an error as people may see it: itself, or another one if it or one of its causes quotes a secret."""
    text = "".join(traceback.format_exception(error))
    shown = without_secrets(text)
    return error if shown == text else QuotedSecret(shown)


def hide_secrets_in_logs() -> None:
    """Let no log record of this process hold a secret, whichever package writes it, and no uncaught error."""
    factory = logging.getLogRecordFactory()
    if not getattr(factory, "hides_secrets", False):

        def create(*arguments: Any, **more: Any) -> logging.LogRecord:
            return _hidden(factory(*arguments, **more))

        create.hides_secrets = True  # type: ignore[attr-defined]
        logging.setLogRecordFactory(create)
        sys.excepthook = _print_uncaught


def _print_uncaught(_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    shown = shown_error(error)
    sys.__excepthook__(type(shown), shown, trace if shown is error else None)


def _hidden(record: logging.LogRecord) -> logging.LogRecord:
    with suppress(Exception):  # arguments that do not fit: logging itself reports them
        if isinstance(record.args, tuple):
            record.args = tuple(without_secrets(one) if isinstance(one, str) else one for one in record.args)
        text = record.getMessage()
        if (shown := without_secrets(text)) != text:
            record.msg, record.args = shown, ()
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and (other := shown_error(error)) is not error:
        record.exc_info, record.exc_text = None, str(other)
    return record


def _secrets_in(value: str) -> Iterator[str]:
    """Yield the secret parts of a value, as written and decoded."""
    value = value.strip()
    logins = [match[1] for match in _LOGIN.finditer(value)]
    found = logins or [match[1].strip("'") for match in _CONNECTION_PASSWORD.finditer(value)]
    if not found and "://" in value:
        with suppress(ValueError):
            parts = urlsplit(value)  # a webhook: its path is the secret
            found = [f"{parts.path}?{parts.query}" if parts.query else parts.path]
    for secret in found or [value]:
        yield secret
        yield unquote(secret)
        yield re.sub(r"\\(.)", r"\1", secret)


def _in_base64(secret: str) -> Iterator[str]:
    """Yield what base64 makes of a secret behind any other text, such as a user name and a colon."""
    data = secret.encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data).decode()
        # The first characters depend on the bytes before, the last ones on the bytes behind.
        middle = coded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        if len(middle) >= _MIN_CHARACTERS:
            yield from {middle, middle.translate(str.maketrans("+/", "-_"))}


def _escaped_in_any_way(character: str) -> str:
    """Return a pattern for a character of a secret: as it is, in a URL, in JSON, in Python or in HTML, also several times."""
    if character.isascii() and character.isalnum():
        return character
    coded = "".join(f"%(?:25)*{byte:02X}" for byte in character.encode())
    code = ord(character)
    return (
        rf"(?:&(?:\w{{1,8}}|#\w{{1,6}});|(?i:{coded})|(?i:\\+(?:u{code:04x}|x{code:02x}))|\\*{re.escape(character)}"
        rf"{r'|[+]' if character == ' ' else ''})"
    )


def _without(text: str, places: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for start, end in places:
        if start >= done:
            parts += (text[done:start], HIDDEN)
        done = max(done, end)
    return "".join(parts) + text[done:]


def _without_login(match: re.Match[str]) -> str:
    return match[0] if _EXAMPLE.fullmatch(match[1]) else f"{HIDDEN}@"

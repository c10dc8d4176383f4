"""The secrets that this process knows, and texts without them.

Every error of the package, every log record, every warning and every unexpected error at the border to Dagster passes here. So
the author of a message need not know what a server, a driver or a package repeats. A secret is known once the environment, a
file or AWS has handed it over. Keys of known forms, logins in URLs and secret parameters are recognized without that.
"""

import base64
import json
import logging
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, unquote_plus, urlsplit

from rag_assets.document_metadata.sensitive import SECRET_FORM, is_secret_key
from rag_assets.document_metadata.url_secrets import secret_parameters, without_secret_parameters

HIDDEN = "…"
_MIN_CHARACTERS = 8
"""A shorter value would be hidden within other words."""
_WORD = re.compile(r"[a-z]{1,11}|[A-Z]{1,11}|[A-Z][a-z]{1,11}")
"""A weak password, such as `postgres`. It is also a name and a word of messages, and no text could be read without it."""
_SHORTENED = 8
"""Characters that give a secret away: drivers and servers cut off texts at any place, and pydantic in the middle."""
_MOST_ESCAPED = 24
"""Characters for one of a secret."""
_WORDS = re.compile(r"[A-Za-z ]*")
"""The beginning of a passphrase is also that of a sentence: it is hidden only as a whole."""
# PWD is the working folder of a shell.
_NO_SECRET = re.compile(r"^(OLD)?PWD$|_(FILE|PATH|DIR|HOME|SOCK|SOCKET|AWS_SECRET|AWS_PARAMETER)$")
_LOGIN = re.compile(r"(?<=://)([^\s/@:'\"<>]*):([^\s/]*)@|(?<=://)([^\s/@:'\"<>]{16,})@")
"""User and password, or a token in place of a user. A password with an `@` of its own goes to the last one."""
_UNENCODED_LOGIN = re.compile(r"://[^\s/@:]*:(?!\d{1,5}[/?#])((?:(?!://).)*)@", re.DOTALL)
"""With a slash in the password. A port is none."""
_NO_PASSWORD = ("", "x-oauth-basic")
"""Beside a token in place of a user, as of GitHub and Stripe."""
_EXAMPLE = re.compile(r"password|…", re.IGNORECASE)
_PAIR = re.compile(r"([A-Za-z][\w ]{0,30}?)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s;]+)")
"""Name and value in a connection string of PostgreSQL, ODBC or Azure."""

_known: dict[str, "_Secret"] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Secret:
    """A secret, or what base64 makes of it.

    Attributes:
        start, end: patterns of its first and last characters. `end` is None for a short one.
        each: patterns of all characters, one by one.
        hints: parts of any text with the start, and with the end.
    """

    start: re.Pattern[str]
    end: re.Pattern[str] | None
    each: tuple[re.Pattern[str], ...]
    hints: tuple[str, str]

    @classmethod
    def of(cls, text: str) -> Self:
        patterns = [_escaped_in_any_way(character) for character in text]
        is_long = len(text) >= 2 * _SHORTENED
        return cls(
            re.compile("".join(patterns[:_SHORTENED])),
            re.compile("".join(patterns[-_SHORTENED:])) if is_long else None,
            tuple(map(re.compile, patterns)),
            (_longest_word(text[:_SHORTENED]), _longest_word(text[-_SHORTENED:])),
        )

    def places_in(self, text: str, *, whole: bool = False) -> Iterator[tuple[int, int]]:
        """Yield start and end, also of a secret that was cut off at either side.

        Args:
            whole: leave out those that were cut off.
        """
        if self.hints[0] in text:
            for match in self.start.finditer(text):
                end, is_whole = self._end_in(text, match.end())
                if is_whole or not (whole or _WORDS.fullmatch(text, match.start(), end)):
                    yield match.start(), end
        if self.end is not None and not whole and self.hints[1] in text:
            for match in self.end.finditer(text):
                start = self._start_in(text, match.start())
                if not _WORDS.fullmatch(text, start, match.end()):
                    yield start, match.end()

    def _end_in(self, text: str, end: int) -> tuple[int, bool]:
        for one in self.each[_SHORTENED:]:
            if (following := one.match(text, end)) is None:
                return end, False
            end = following.end()
        return end, True

    def _start_in(self, text: str, start: int) -> int:
        for one in reversed(self.each[:-_SHORTENED]):
            lengths = range(min(_MOST_ESCAPED, start), 0, -1)
            before = next(
                (start - length for length in lengths if one.fullmatch(text, start - length, start)), None
            )
            if before is None:
                break
            start = before
        return start


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
        else:
            for secret in _parts_with_secrets(value):
                remember(secret)


def without_these(text: str, secrets: Iterable[str]) -> str:
    """Return a text with `~` in place of each of these secrets, also encoded. One that was cut off stays."""
    found = [secret for secret in secrets if len(secret) >= _MIN_CHARACTERS]
    places = sorted(place for one in found for place in _Secret.of(one).places_in(text, whole=True))
    return _without(text, places, "~") if places else text


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
    """Let no log record, no warning and no uncaught error of this process hold a secret, whichever package it is from."""
    factory = logging.getLogRecordFactory()
    if not getattr(factory, "hides_secrets", False):

        def create(*arguments: Any, **more: Any) -> logging.LogRecord:
            return _hidden(factory(*arguments, **more))

        create.hides_secrets = True  # type: ignore[attr-defined]
        logging.setLogRecordFactory(create)
        sys.excepthook = _print_uncaught
        _hide_secrets_in_threads()
        _hide_secrets_in_warnings()


def _hide_secrets_in_threads() -> None:
    print_uncaught = threading.excepthook

    def hook(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None and (shown := shown_error(found.exc_value)) is not found.exc_value:
            found = threading.ExceptHookArgs((type(shown), shown, None, found.thread))
        print_uncaught(found)

    threading.excepthook = hook


def _hide_secrets_in_warnings() -> None:
    formatted = warnings.formatwarning

    def hidden(*arguments: Any, **more: Any) -> str:
        return without_secrets(formatted(*arguments, **more))

    warnings.formatwarning = hidden


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
    found = list(_parts_with_secrets(value))
    if "://" in value and _LOGIN.search(value) is None:
        with suppress(ValueError):
            parts = urlsplit(value)  # a webhook: its path is the secret
            found.append(f"{parts.path}?{parts.query}" if parts.query else parts.path)
    for secret in found or [value]:
        yield secret
        yield unquote(secret)
        yield unquote_plus(secret)
        yield re.sub(r"\\(.)", r"\1", secret)


def _parts_with_secrets(value: str) -> Iterator[str]:
    """Yield passwords, tokens and keys within a URL or a connection string."""
    if "://" in value:
        logins = _LOGIN.findall(value)
        for user, password, token in logins:
            yield token or (user if password in _NO_PASSWORD else password)
        if not logins and (unencoded := _UNENCODED_LOGIN.search(value)) is not None:
            # A client takes one part of it for a port, another one for a path.
            yield from (unencoded[1], *re.split(r"[/?#@:]", unencoded[1]))
        yield from secret_parameters(value)
    if "=" in value:
        yield from (
            text.strip("'") for name, text in _PAIR.findall(value) if _names_secret(name.replace(" ", "_"))
        )


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


def _longest_word(text: str) -> str:
    return max(re.findall(r"[A-Za-z0-9]*", text), key=len)


def _without(text: str, places: list[tuple[int, int]], hidden: str = HIDDEN) -> str:
    parts: list[str] = []
    done = 0
    for start, end in places:
        if start >= done:
            parts += (text[done:start], hidden)
        done = max(done, end)
    return "".join(parts) + text[done:]


def _without_login(match: re.Match[str]) -> str:
    return match[0] if _EXAMPLE.fullmatch(match[2] or "") else f"{HIDDEN}@"

"""Secrets in the parameters of URLs, recognized by name or value. Identities of documents and metadata share the rules."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

_SIGNATURE_NAME = re.compile(r"x-(amz|goog)-.*", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|auth(?!or)|authorization|credential|signature|session|jwt|(^|[-_.])(key|sig|sid|pass)$|api-?_?key",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|(sk|pk|ghp|gho|ghs|glpat|xox[a-z]|AKIA|ASIA|AIza)[-_]?[A-Za-z0-9_-]{12,}"
    r"|(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])(?=[^0-9]*[0-9])[A-Za-z0-9_+/=%-]{32,}"  # no UUID, no hash in hexadecimal
)
# After `;` too: in HTML `&` is written as `&amp;`.
_PARAMETER = re.compile(r"""[?&#;]([\w.~%+\[\]-]{1,100})=([^?&#;\s"'<>]+)""")
_MOST_CODINGS = 3


def is_signature(name: str) -> bool:
    """Whether a parameter belongs to a signature of Amazon or Google."""
    return _SIGNATURE_NAME.fullmatch(name) is not None


def is_secret_parameter(name: str, value: str) -> bool:
    """Whether a parameter looks like a credential, by its name or its value."""
    return _SECRET_NAME.search(name) is not None or _SECRET_VALUE.fullmatch(value) is not None


def has_secret_parameter(text: str) -> bool:
    """Whether a text holds a parameter with a secret, also within a parameter of another URL."""
    for _ in range(_MOST_CODINGS):
        parameters = (match.groups() for match in _PARAMETER.finditer(text))
        # A sentence may go on after the URL.
        if any(
            is_signature(name) or is_secret_parameter(name, value.rstrip(",.:!)"))
            for name, value in parameters
        ):
            return True
        if "%" not in text:
            return False
        text = unquote(text)
    return False


def secret_parameters(text: str) -> Iterator[str]:
    """Yield the values of all parameters that look like a credential."""
    for name, value in _PARAMETER.findall(text):
        if is_signature(name) or is_secret_parameter(name, value.rstrip(",.:!)")):
            yield value


def without_secret_parameters(text: str, hidden: str) -> str:
    """Return a text with another word in place of each secret in a parameter of a URL."""

    def shown(match: re.Match[str]) -> str:
        name, value = match.groups()
        is_secret = is_signature(name) or is_secret_parameter(name, value.rstrip(",.:!)"))
        return f"{match[0][: -len(value)]}{hidden}" if is_secret else match[0]

    return _PARAMETER.sub(shown, text) if "=" in text else text

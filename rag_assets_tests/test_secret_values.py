"""Known secrets, and those of known forms, are hidden in messages, logs and tracebacks, however they are written there."""

import base64
import html
import json
import logging
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest

from rag_assets.errors import ConfigurationError, DocumentUnreadable
from rag_assets.secret_values import (
    HIDDEN,
    hide_secrets_in_logs,
    remember,
    remember_arguments,
    remember_variables,
    shown_error,
    without_secrets,
)

SECRET = "zX3+/@%&=\"\\'kQ9-ü8 wW"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent-encoded": lambda text: urllib.parse.quote(text, safe=""),
    "in a form": urllib.parse.quote_plus,
    "percent-encoded twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe="")),
    "JSON": json.dumps,
    "JSON within JSON": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "repr within repr": lambda text: repr(repr({"a": text})),
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "Basic auth": lambda text: base64.b64encode(f"somebody:{text}".encode()).decode(),
    "Basic auth in a header that is shown": lambda text: repr(base64.b64encode(f"ab:{text}".encode())),
}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.secret_values._known", {})


@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_hidden_in_each_form(form: str) -> None:
    remember(SECRET)
    written = FORMS[form](SECRET)
    shown = without_secrets(f"the server said {written}, and more")
    assert shown.startswith("the server said ")
    assert shown.endswith(", and more")
    assert HIDDEN in shown
    # Base64 leaves single characters beside the part that is the same behind any user name.
    assert len(shown.split("said ")[1]) < 40
    for part in ("zX3", "kQ9", "wW", "8 w"):
        assert part not in shown


def test_a_secret_that_is_cut_off_is_hidden() -> None:
    remember("qWe7rTy8uIo9pAs0dFg")
    assert without_secrets("refused 'qWe7rTy8uI") == f"refused '{HIDDEN}"


def test_both_halves_of_a_secret_that_was_shortened_in_the_middle_are_hidden() -> None:
    class Settings(pydantic.BaseModel):
        size: int

    remember("qWe7rTy8uIo9pAs0dFg+/@%&\\'zXc1vBn2mQw3eRt4yUi5oPa6")
    with pytest.raises(pydantic.ValidationError) as error:
        Settings.model_validate({"size": "qWe7rTy8uIo9pAs0dFg+/@%&\\'zXc1vBn2mQw3eRt4yUi5oPa6"})
    assert "qWe7rTy8" in str(error.value)
    assert f'input_value="{HIDDEN}...{HIDDEN}"' in without_secrets(str(error.value))
    assert without_secrets("%2540%25%26\\\\&#x27;zXc1vBn2mQw3eRt4yUi5oPa6.") == f"{HIDDEN}."


def test_the_words_of_a_passphrase_stay_in_other_sentences() -> None:
    remember("another horse battery")
    assert without_secrets("it redirects to another site") == "it redirects to another site"
    assert without_secrets("refused 'another horse battery'") == f"refused '{HIDDEN}'"


def test_secrets_with_the_same_beginning_are_hidden_to_their_ends() -> None:
    remember("sk_proj.AAAA1111bbbb")
    remember("sk_proj.CCCC2222dddd")
    assert without_secrets("a sk_proj.CCCC2222dddd b sk_proj.AAAA1111bbbb c") == f"a {HIDDEN} b {HIDDEN} c"


@pytest.mark.parametrize("value", ["postgres", "Password", "short1"])
def test_short_and_weak_passwords_leave_messages_readable(value: str) -> None:
    remember(value)
    assert without_secrets(f"database {value} is down") == f"database {value} is down"


@pytest.mark.parametrize(
    ("variables", "secret"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "jH6tR5eW4q"}, "jH6tR5eW4q"),
        ({"HTTPS_PROXY": "http://me:pR0xyP%40ss1@proxy:3128"}, "pR0xyP@ss1"),
        ({"SOME_DSN": "redis://:rEd1sPass@host/0"}, "rEd1sPass"),
        ({"NOTION_TOKEN": "nT0kEn12345"}, "nT0kEn12345"),
        ({"HTTPS_PROXY": "http://me:pR0xy/P4ss9@proxy:3128"}, "pR0xy/P4ss9"),
        ({"HTTPS_PROXY": "http://me:pR0xyP4ss9x/aB3cD4eF5g@proxy:3128"}, "aB3cD4eF5g"),
        ({"HTTPS_PROXY": "http://me:pR0xy@P4ss9@proxy:3128"}, "pR0xy@P4ss9"),
        ({"ORIGIN": "https://aB3cD4eF5gH6iJ7k@host/project.git"}, "aB3cD4eF5gH6iJ7k"),
        ({"ORIGIN": "https://aB3cD4eF5g:@host/v1"}, "aB3cD4eF5g"),
        ({"ORIGIN": "git+https://aB3cD4eF5g:x-oauth-basic@host/project.git@main"}, "aB3cD4eF5g"),
        ({"STORAGE": "AccountName=rag;AccountKey=aB3cD4eF5g==;EndpointSuffix=host"}, "aB3cD4eF5g=="),
        ({"STORAGE": "BlobEndpoint=https://host;SharedAccessSignature=sv=1&sig=aB3cD4eF5g"}, "aB3cD4eF5g"),
        ({"DATABASE": "Driver={x};Server=host;UID=me;PWD=aB3cD4eF5g"}, "aB3cD4eF5g"),
        ({"DATABASE": "host=x password = 'aB3cD \\' eF5g' dbname=y"}, "aB3cD ' eF5g"),
        ({"DATABASE": "jdbc:postgresql://host/x?user=me&password=aB3cD4eF5g"}, "aB3cD4eF5g"),
    ],
)
def test_secrets_among_variables_are_known_by_name_or_form(variables: dict[str, str], secret: str) -> None:
    remember_variables(variables)
    assert without_secrets(f"I got {secret}.") == f"I got {HIDDEN}."


def test_addresses_with_a_port_and_an_at_sign_are_shown() -> None:
    remember_variables(
        {
            "PAGE": "http://wiki.example.com:8080/handbook-2026?mail=me@example.com",
            "NAMES": "a://b:1,c://d@host",
        }
    )
    text = "http://wiki.example.com:8080/handbook-2026 and me@example.com"
    assert without_secrets(text) == text


def test_the_place_of_a_secret_is_shown() -> None:
    remember_variables(
        {
            "OPENAI_API_KEY_FILE": "/run/secrets/openai",
            "RAG_HOME": "/srv/rag-assets-home",
            "PWD": "/srv/working-folder",
            "OLDPWD": "/srv/working-folder",
        }
    )
    places = "/run/secrets/openai in /srv/rag-assets-home, started in /srv/working-folder"
    assert without_secrets(places) == places


def test_secrets_among_arguments_are_known_by_name() -> None:
    remember_arguments({"host": "files.example.com", "inner": {"account_key": ["aCc0untKey9"]}})
    remember_arguments('{"token": "jS0nToken77", "user": "somebody-else"}')
    text = "files.example.com somebody-else aCc0untKey9 jS0nToken77"
    assert without_secrets(text) == f"files.example.com somebody-else {HIDDEN} {HIDDEN}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://host/a?b=1&token=abc123 done", f"GET http://host/a?b=1&token={HIDDEN} done"),
        ("GET /a?X-Amz-Signature=abc&b=1", f"GET /a?X-Amz-Signature={HIDDEN}&b=1"),
        ("to https://me:secret1@host/a", f"to https://{HIDDEN}@host/a"),
        ("to https://me:sec@ret1@host/a", f"to https://{HIDDEN}@host/a"),
        ("to https://aB3cD4eF5gH6iJ7k@host/a", f"to https://{HIDDEN}@host/a"),
        ("to https://aB3cD4eF5g:@host/a", f"to https://{HIDDEN}@host/a"),
        ("unknown model sk-proj-0123456789abcdef", f"unknown model {HIDDEN}"),
        ("expected redis://user:password@host:6379/0", "expected redis://user:password@host:6379/0"),
        ("https://hooks.slack.com/services/T0/B0/abc", f"https://{HIDDEN}"),
    ],
)
def test_secrets_of_known_forms_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_errors_of_the_package_hide_secrets() -> None:
    remember("eRr0rSecret42")
    assert str(ConfigurationError("no eRr0rSecret42 here")) == f"no {HIDDEN} here"
    unreadable = DocumentUnreadable("unreadable", "no eRr0rSecret42 here")
    assert unreadable.detail == f"no {HIDDEN} here"
    assert "eRr0rSecret42" not in repr(str(unreadable))


def test_a_traceback_hides_the_secrets_of_all_causes() -> None:
    remember("cAu5eSecret42")
    try:
        try:
            raise ValueError("no cAu5eSecret42 here")
        except ValueError as error:
            raise RuntimeError("nothing here") from error
    except RuntimeError as error:
        trace = str(shown_error(error))
    assert f"ValueError: no {HIDDEN} here" in trace
    assert "RuntimeError: nothing here" in trace


def test_an_error_without_a_secret_stays_itself() -> None:
    error = RuntimeError("nothing here")
    assert shown_error(error) is error


def test_logs_of_all_packages_hide_secrets(tmp_path: Path) -> None:
    remember("l0gSecret4242")
    hide_secrets_in_logs()
    hide_secrets_in_logs()  # once is enough
    logger = logging.getLogger("some.library")
    handler = logging.FileHandler(tmp_path / "log")
    handler.setFormatter(logging.Formatter("%(message)s %(args)s"))
    logger.addHandler(handler)
    try:
        logger.error("plain l0gSecret4242")
        logger.error("with %s and %d", "l0gSecret4242", 7)
        logger.error("with %s", {"Authorization": b"Bearer l0gSecret4242"})
        try:
            raise ValueError("l0gSecret4242")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
        handler.close()
    text = (tmp_path / "log").read_text()
    assert "l0gSecret4242" not in text
    assert f"with {HIDDEN} and 7" in text
    assert f"ValueError: {HIDDEN}" in text


def test_warnings_and_errors_of_threads_hide_secrets() -> None:
    code = """
import threading, warnings
from rag_assets.secret_values import hide_secrets_in_logs, remember
remember("thr3adSecret42")
hide_secrets_in_logs()
warnings.warn("unverified request to thr3adSecret42")
threading.Thread(target=lambda: {}["thr3adSecret42"]).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "thr3adSecret42" not in done.stderr.replace('{}["thr3adSecret42"]', "")
    assert f"UserWarning: unverified request to {HIDDEN}" in done.stderr
    assert f"KeyError: '{HIDDEN}'" in done.stderr

"""Names, titles and texts of documents reach the terminal as text: no control character acts there, none fakes a line."""

import json
import re

import pytest

from rag_assets_tests.pipeline import Pipeline, Run, question_about, text_about

_ACTS_ON_A_TERMINAL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
RED = "\x1b[31m"
HOSTILE = f"a{RED}\x9b2J\u202eb\nproduction     faked.md"
BROKEN = f"torn{RED}\nHELD           faked.pdf"
PAGE = (
    f"<html><head><title>Red {RED}\x9b2J\u202etitle\nHELD faked</title></head><body><p>%s</p></body></html>"
)


@pytest.fixture
def hostile(promoted: Pipeline) -> tuple[Pipeline, Run]:
    """A served document, a quarantined one and a page with control characters in every part."""
    promoted.write(HOSTILE, text_about("hostile") + f"\u202eturned {RED}red\n")
    promoted.write(BROKEN, b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    promoted.write(f"sub{RED}\nHELD/page.html", PAGE % text_about("page"))
    return promoted, promoted.refresh().checked()


COMMANDS = [
    ("search", question_about("hostile")),
    ("search", question_about("page")),
    ("search", question_about("page"), "--json"),
    ("search", f"{RED}none"),
    ("search", "x", "--filter", f"{RED}none"),
    ("show", HOSTILE),
    ("show", HOSTILE, "--json"),
    ("show", f"sub{RED}\nHELD/page.html"),
    ("show", BROKEN),
    ("show", f"{RED}none"),
    ("status",),
    ("plan",),
    ("quarantine",),
    ("quarantine", "--json"),
    ("trace", HOSTILE),
    ("trace", BROKEN),
    ("trace", HOSTILE, "--json"),
    ("trace", f"{RED}none"),
    ("export",),
    ("doctor",),
    ("approve", f"{RED}none"),
]


def test_no_command_sends_a_control_character_to_the_terminal(hostile: tuple[Pipeline, Run]) -> None:
    pipeline, _ = hostile
    pipeline.remove(HOSTILE)  # `plan` names it
    for command in COMMANDS:
        _, output, errors = pipeline.command(*command)
        assert output + errors
        assert _ACTS_ON_A_TERMINAL.findall(output + errors) == [], command
        faked = [line for line in output.splitlines() if line.startswith(("HELD", "production     faked"))]
        assert faked == [], command


def test_json_holds_every_name_as_it_is(hostile: tuple[Pipeline, Run]) -> None:
    pipeline, _ = hostile
    assert f"filesystem:{HOSTILE}" in pipeline.served()
    report = json.loads(pipeline.succeed("quarantine", "--json"))
    assert [one["document_id"] for one in report["documents"]] == [f"filesystem:{BROKEN}"]
    assert json.loads(pipeline.succeed("trace", HOSTILE, "--json"))["asked"] == HOSTILE

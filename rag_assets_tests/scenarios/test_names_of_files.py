"""Names of files with control characters or undecodable bytes: every command shows them alike, and accepts that spelling."""

import pytest

from rag_assets_tests.pipeline import Pipeline, text_about

UNDECODABLE, CONTROL = "f\udcfe/caf\udcff.md", "con\x1btrol.md"
SHOWN = {UNDECODABLE: "f%FE/caf%FF.md", CONTROL: r"con\u001btrol.md"}


@pytest.fixture
def strange(promoted: Pipeline) -> Pipeline:
    for name in SHOWN:
        promoted.write(name, text_about(name.encode("utf-8", "surrogateescape")))
    promoted.write("sk\udcff.foo", "no format")
    promoted.refresh().checked()
    return promoted


def test_every_command_shows_and_accepts_one_spelling(strange: Pipeline) -> None:
    for name, shown in SHOWN.items():
        typed = [name, f"documents/{name}", str(strange.documents / name)]
        spelled = [shown, f"filesystem:{shown}", f"documents/{shown}", str(strange.documents / shown)]
        for one in (*typed, *spelled):
            assert strange.succeed("trace", one).startswith(f"filesystem:{shown}: served\n"), one
            assert strange.succeed("show", one).splitlines()[0] == f"filesystem:{shown}"


def test_an_unlisted_file_has_its_reason_and_the_same_spelling(strange: Pipeline) -> None:
    for name in ("sk\udcff.foo", "sk%FF.foo", "documents/sk\udcff.foo"):
        output = strange.succeed("trace", name)
        assert output.startswith(f"{name.replace(chr(0xDCFF), '%FF')}: skipped\n")
        assert "there is no parser for its format" in output
        _, _, errors = strange.command("show", name)
        assert "%FF.foo" in errors
        assert "udc" not in errors


def test_a_message_spells_control_characters_as_a_report(strange: Pipeline) -> None:
    _, output, _ = strange.command("trace", "no\x1bne")
    _, _, errors = strange.command("show", "no\x1bne")
    assert output.startswith(r"no\u001bne: unknown")
    assert r"no document 'no\u001bne'" in errors
    with pytest.raises(SystemExit):
        strange.command("search", "x", "--limit", "\x1b")

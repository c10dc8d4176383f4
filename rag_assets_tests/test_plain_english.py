"""The prose of the project is plain English. `plain_english.py` and `wording_rules.py` list the places."""

from pathlib import Path

import pytest

import rag_assets
from rag_assets_tests import wording_rules
from rag_assets_tests.plain_english import (
    MAX_PRONOUNS_PER_100_WORDS,
    MAX_SEMICOLON_SHARE,
    ROOT,
    docstrings,
    modules,
    pages,
    readability,
    texts_of,
)

PACKAGE = Path(rag_assets.__file__).parent
ROOMS = sorted({path.relative_to(PACKAGE).parts[0] for path in modules() if path.parent != PACKAGE})
TOP = "modules at the top"
PAGES = {page.relative_to(ROOT).as_posix(): page for page in pages()}


def texts(room: str) -> list[str]:
    if room in PAGES:
        return texts_of(PAGES[room])
    return [
        text
        for path in modules()
        if (path.parent == PACKAGE if room == TOP else path.is_relative_to(PACKAGE / room))
        for text in docstrings(path)
    ]


@pytest.mark.parametrize("room", [*ROOMS, TOP, *PAGES])
def test_sentences_are_short_and_simple(room: str) -> None:
    found = readability(texts(room))
    assert found.pronouns_per_100_words <= MAX_PRONOUNS_PER_100_WORDS, str(found)
    assert found.semicolon_share <= MAX_SEMICOLON_SHARE, str(found)


@pytest.mark.parametrize("rule", list(wording_rules.RULES))
def test_the_wording_keeps_the_rule(rule: str) -> None:
    assert [str(found) for found in wording_rules.findings(rule)] == []


def test_every_allowed_place_is_still_needed() -> None:
    unused = [
        (place, words)
        for place, words in wording_rules.ALLOWED
        if not any(
            words in found.words
            for rule, _ in wording_rules.RULES.values()
            for found in rule(wording_rules.ROOT / place)
        )
    ]
    assert unused == []


# The rules themselves


def found_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: wording_rules.Rule, text: str
) -> list[str]:
    monkeypatch.setattr(wording_rules, "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    return [found.words for found in rule(path)]


@pytest.mark.parametrize(
    ("rule", "text", "num_findings"),
    [
        (wording_rules.archaic_words, '"""Whatever comes."""', 1),
        (wording_rules.archaic_words, 'raise E("ask somebody to build it anew")', 2),
        (wording_rules.archaic_words, 'raise E(f"{n} file(s) are missing in {x}")', 1),
        (wording_rules.archaic_words, '"""Reads http(s) URLs."""', 0),
        (wording_rules.archaic_words, 'x: int = 1\n"""How often somebody is told."""', 2),
        (wording_rules.archaic_words, '"""Keeps `whatever` as it is."""', 0),
        (wording_rules.archaic_words, "# whatever\nx = r'\\bnobody\\b of what'", 0),
        (wording_rules.british_prose, '"""Normalised text and its colour."""', 2),
        (wording_rules.british_prose, '"""A precise, otherwise wise promise is raised."""', 0),
        (wording_rules.british_prose, '"""The denominator of a cancelled, modelled run."""', 1),
        (wording_rules.british_identifiers, "def normalise(colour): self.labelled = _Recogniser", 4),
        (wording_rules.british_identifiers, "exercise = raise_error(precise_noise)", 0),
        (wording_rules.plurals_beside_numbers, 'f"{count} documents"', 1),
        (wording_rules.plurals_beside_numbers, 'f"{len(found)} of {n} expected documents are absent"', 1),
        (wording_rules.plurals_beside_numbers, '''f"{counted(count, 'document')} and {MAX} links"''', 0),
        (
            wording_rules.plurals_beside_numbers,
            'f"{seconds:.1f} seconds, {name} lacks points, {alias} points to"',
            0,
        ),
        (wording_rules.plurals_beside_numbers, 'logger.info("read %d files", n)', 1),
        (wording_rules.plurals_beside_numbers, 'logger.info("read %s", counted(n, "file"))', 0),
        (wording_rules.archaic_test_names, "def test_nobody_is_told(): ...", 1),
        (wording_rules.archaic_test_names, "def test_users_see_the_reason(): ...", 0),
    ],
)
def test_a_rule_finds_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: wording_rules.Rule, text: str, num_findings: int
) -> None:
    assert len(found_in(tmp_path, monkeypatch, rule, text)) == num_findings


def test_pronouns_and_semicolons_are_counted() -> None:
    found = readability(["A file that is read; the one which is not.\n\nNo pronoun here. `that;` is code."])
    assert (found.num_pronouns, found.num_semicolons, found.num_sentences) == (2, 1, 3)

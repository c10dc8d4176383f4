"""Signatures, their cache, and the groups of similar contents."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.changes.near_duplicates import (
    NUM_SLOTS,
    find_groups,
    shingles,
    signature_of,
    signatures_of,
)
from rag_assets_tests.documents import hashed
from rag_assets_tests.pipeline import words


class FakeCache:
    """A cache with a count of the signatures put into it."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.num_put = 0

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None:
        self.kept.update(signatures)
        self.num_put += len(signatures)


def page(seed: object, *edited: int, length: int = 150) -> str:
    """Return a text of `length` words, some of them replaced."""
    text = words(seed, length)
    for position in edited:
        text[position] = f"edited{position}"
    return " ".join(text)


def grouped(*texts: str) -> list[set[int]]:
    """Return the groups of these texts, as their positions."""
    by_hash = {hashed(text): text for text in texts}
    contents, signatures = signatures_of(list(by_hash), by_hash.get, FakeCache())
    positions = {hashed(text): number for number, text in enumerate(texts)}
    return [{positions[one] for one in group.contents} for group in find_groups(contents, signatures)]


# Similarity


def test_two_changed_words_in_a_page_are_a_near_duplicate_and_another_page_is_not() -> None:
    assert grouped(page("a"), page("a", 70), page("b"), page("a", 5, 149)) == [{0, 1, 3}]
    assert grouped(page("a"), page("a", *range(0, 150, 15))) == []


def test_layout_case_and_punctuation_do_not_count_and_order_does() -> None:
    text = page("a", length=40)
    assert grouped(text, text.upper().replace(" ", ",\n\n", 9) + " !") == [{0, 1}]
    assert grouped(text, " ".join(reversed(text.split()))) == []


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        ("Yes", "yes.", True),
        ("Yes", "No", False),
        ("Yes sir", "yes, sir!", True),
        ("Yes sir", "sir yes", False),
        ("one two three", "one two three.", True),
        ("one two three", "one two four", False),
        ("???", "!!!", False),
        ("café", "cafe", False),
    ],
)
def test_short_texts_are_similar_if_their_words_are_the_same(one: str, other: str, similar: bool) -> None:
    assert grouped(one, other) == ([{0, 1}] if similar else [])


def test_a_script_without_spaces_is_compared_by_its_characters() -> None:
    text = "".join(random.Random(1).choices([chr(code) for code in range(0x4E00, 0x4F00)], k=150))
    assert grouped(text, text[:70] + "東" + text[71:]) == [{0, 1}]
    assert list(shingles("東京都へ")) == ["東 京 都", "京 都 へ"]
    assert list(shingles("서울 시청 앞 광장")) == ["서울 시청 앞", "시청 앞 광장"]


def test_the_estimate_is_near_the_true_similarity() -> None:
    errors: list[float] = []
    for number in range(60):
        one, other = page(number), page(number, *range(0, 150, 30 + number))
        mine, theirs = set(shingles(one)), set(shingles(other))
        slots = [np.frombuffer(signature_of(text), "<u4") for text in (one, other)]
        estimate = float((slots[0] == slots[1]).mean())
        errors.append(estimate - len(mine & theirs) / len(mine | theirs))
    assert abs(sum(errors) / len(errors)) < 0.01
    assert max(map(abs, errors)) < 0.12


def test_a_signature_does_not_depend_on_the_order_and_number_of_shingles() -> None:
    text = page("long", length=30_000)
    assert signature_of(text) == signature_of(f"{text} {text.split()[0]} {text}"[: len(text)])
    halves = " ".join(text.split()[:20_000])
    assert signature_of(text) != signature_of(halves)
    assert len(signature_of(text)) == 4 * NUM_SLOTS


def test_signatures_are_the_same_on_every_machine() -> None:
    """A different signature would mean a different algorithm. Then `comparison_id` must change too."""
    assert signature_of("The quick brown fox jumps over the lazy dog.")[:16].hex() == CANONICAL


CANONICAL = "1d9cf0caba8aafc05a1b51ca46baa7c1"


# Groups


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.integers(0, 40), max_size=3)),
        max_size=14,
        unique_by=lambda one: (one[0], tuple(sorted(one[1]))),
    ),
    st.randoms(use_true_random=False),
)
def test_groups_are_the_connected_components_in_any_order(
    made: list[tuple[int, set[int]]], shuffle: random.Random
) -> None:
    texts = {hashed(text): text for text in (page(seed, *edits, length=120) for seed, edits in made)}
    contents = list(texts)
    known, signatures = signatures_of(contents, texts.get, FakeCache())
    groups = find_groups(known, signatures)

    order = list(range(len(contents)))
    shuffle.shuffle(order)
    assert find_groups([known[row] for row in order], signatures[order]) == groups

    # By the definition, over all pairs.
    linked = [{content} for content in contents]
    for one in range(len(contents)):
        for other in range(one):
            if (signatures[one] == signatures[other]).mean() >= 0.9:
                parts = [group for group in linked if contents[one] in group or contents[other] in group]
                linked = [group for group in linked if group not in parts] + [set().union(*parts)]
    expected = sorted(tuple(sorted(group)) for group in linked if len(group) > 1)
    assert [group.contents for group in groups] == expected


def test_a_chain_is_one_group_with_the_similarity_of_its_ends() -> None:
    texts = [page("chain", *range(40, 40 + 2 * step)) for step in range(8)]
    by_hash = {hashed(text): text for text in texts}
    known, signatures = signatures_of(list(by_hash), by_hash.get, FakeCache())
    [group] = find_groups(known, signatures)
    assert group.contents == tuple(sorted(by_hash))
    assert group.similarity < 0.9


def test_nothing_and_a_single_text_have_no_group() -> None:
    assert grouped() == grouped(page("a")) == []


# The cache


def test_only_new_contents_are_read() -> None:
    texts = {hashed(text): text for text in (page(number) for number in range(5))}
    cache = FakeCache()
    read: list[str] = []

    def text_of(content: str) -> str | None:
        read.append(content)
        return texts.get(content)

    first = signatures_of(list(texts), text_of, cache)
    texts[hashed(page("new"))] = page("new")
    read.clear()
    second = signatures_of(list(texts), text_of, cache)
    assert read == [hashed(page("new"))]
    assert cache.num_put == 6
    assert (first[1] == second[1][:5]).all()


def test_a_corrupt_signature_is_computed_again_and_a_lost_text_is_left_out() -> None:
    texts = {hashed(text): text for text in (page(1), page(2))}
    cache = FakeCache()
    _, signatures = signatures_of(list(texts), texts.get, cache)
    cache.kept = dict.fromkeys(cache.kept, b"torn")
    known, again = signatures_of([*texts, hashed("lost")], texts.get, cache)
    assert known == list(texts)
    assert (again == signatures).all()

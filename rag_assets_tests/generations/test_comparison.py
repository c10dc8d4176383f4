"""Documents and chunks that differ between two generations."""

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from rag_assets.generations.comparison import ChunkComparison, compare_documents
from rag_assets.records import DocumentState
from rag_assets_tests.documents import OTHER_FINGERPRINT, corpus, document, hashed, stage
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


def kinds(before: list[DocumentState], after: list[DocumentState]) -> dict[str, tuple[str, str | None]]:
    return {one.document_id[11:]: (one.kind, one.moved_from) for one in compare_documents(before, after)}


def test_documents_are_compared_by_id_and_content() -> None:
    before = corpus({"a.md": "one", "b.md": "two", "c.md": "three", "d.md": "four"})
    after = [
        *corpus({"a.md": "one", "b.md": "new two", "e.md": "five"}),
        document("c.md", "three", title="Another title"),
    ]
    assert kinds(before, after) == {
        "b.md": ("changed", None),
        "c.md": ("payload", None),
        "d.md": ("removed", None),
        "e.md": ("added", None),
    }
    assert kinds(after, before)["e.md"] == ("removed", None)


def test_a_moved_document_is_neither_added_nor_removed() -> None:
    before = corpus({"a.md": "one", "b.md": "one", "c.md": "two"})
    after = corpus({"x/a.md": "one", "y/a.md": "one", "z/a.md": "one", "c.md": "two"})
    assert kinds(before, after) == {
        "x/a.md": ("moved", "filesystem:a.md"),
        "y/a.md": ("moved", "filesystem:b.md"),
        "z/a.md": ("added", None),
    }


def test_a_document_without_text_is_in_no_generation() -> None:
    assert kinds([document("a.md", None)], [document("a.md", "one")]) == {"a.md": ("added", None)}


texts = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["one", "two", "three"]))


@given(texts, texts)
def test_every_document_counts_once(before: dict[str, str], after: dict[str, str]) -> None:
    found = compare_documents(corpus(before), corpus(after), is_rebuilt=True)
    there = {one.document_id for one in found if one.kind != "removed"}
    assert there == {f"filesystem:{path}" for path in after}
    gone = {one.moved_from or one.document_id for one in found if one.kind in ("moved", "removed")}
    assert gone == {f"filesystem:{path}" for path in before.keys() - after.keys()}
    assert all((one.before == one.after) == (one.kind in ("moved", "rechunked")) for one in found)
    assert compare_documents(corpus(before), corpus(before)) == []


def compared(
    before: dict[str, str], after: dict[str, str], pair: tuple[str | None, str | None]
) -> tuple[list[str], list[str]]:
    store = InMemoryVectorStore()
    stage(store, "g1", corpus(before), before.values())
    stage(store, "g2", corpus(after), after.values(), fingerprint=OTHER_FINGERPRINT)
    with closing(store.read("g1")) as first, closing(store.read("g2")) as second:
        comparison = ChunkComparison((first, second), (store.manifests["g1"], store.manifests["g2"]))
        hashes = (pair[0] and hashed(pair[0]), pair[1] and hashed(pair[1]))
        [(_, found)] = comparison.compare([hashes, hashes])
    assert store.open_readers == []
    removed, added = ([point.payload["text"] for point in points] for points in (found.removed, found.added))
    return removed, added


def test_chunks_are_compared_by_text() -> None:
    old, new = "one\ntwo\nthree\nfour\n", "one\n2\nthree\nfour\nfive\n"
    assert compared({"a": old}, {"a": new}, (old, new)) == (["two\n"], ["2\n", "five\n"])
    assert compared({"a": old}, {"a": old}, (old, old)) == ([], [])
    assert compared({"a": old}, {"a": new}, (None, new)) == ([], new.splitlines(keepends=True))
    assert compared({"a": old}, {"a": new}, (old, None)) == (old.splitlines(keepends=True), [])

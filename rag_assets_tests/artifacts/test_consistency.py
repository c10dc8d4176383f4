import pytest

from rag_assets.artifacts.consistency import require_fingerprint, require_same_refresh
from rag_assets.artifacts.parquet_artifact import Header
from rag_assets.artifacts.store import ArtifactStore
from rag_assets.errors import StaleInputError
from rag_assets_tests.artifacts.samples import header, write


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (header("20260102T000000-b"), "different refreshes"),
        (header(base="g2"), "different refreshes"),
        (header(base=None), "different refreshes"),
        (header(chunk_size=3), "different settings .chunk_size."),
    ],
    ids=["refresh", "base", "no base", "settings"],
)
def test_artifacts_of_different_refreshes_or_settings_are_refused(
    store: ArtifactStore, other: Header, message: str
) -> None:
    write(store, "deduped_documents", "run")
    write(store, "chunks", "run", head=other)
    mine, theirs = (store.find(asset, ["run"]) for asset in ("deduped_documents", "chunks"))
    assert require_same_refresh([mine, mine]) == mine.header
    with pytest.raises(StaleInputError, match=message):
        require_same_refresh([mine, theirs])


def test_an_input_with_different_settings_is_refused_with_their_names(store: ArtifactStore) -> None:
    write(store, "chunks", "run", head=header(chunk_size=512, chunker="a"))
    chunks = store.find("chunks", ["run"])
    require_fingerprint(chunks, {"model": "m", "chunk_size": 512, "chunker": "a"})
    with pytest.raises(StaleInputError, match=r"different settings \(chunk_size, chunker\)"):
        require_fingerprint(chunks, {"model": "m", "chunk_size": 256, "chunker": "b"})

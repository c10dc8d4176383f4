from hypothesis import given

from rag_assets.changes.content_changes import content_changes
from rag_assets.records import DocumentState, Location
from rag_assets_tests.changes.document_sets import before_sets


@given(before_sets, before_sets)
def test_applying_the_content_changes_to_the_old_state_gives_the_new_state(
    before: list[DocumentState], after: list[DocumentState]
) -> None:
    held, wanted = _places(before), _places(after)
    for change in content_changes(before, after):
        assert change.was_held == (change.content_hash in held)
        assert held.get(change.content_hash, ()) != change.locations
        held[change.content_hash] = change.locations
    assert {content: locations for content, locations in held.items() if locations} == wanted


def _places(documents: list[DocumentState]) -> dict[str, tuple[Location, ...]]:
    """Return content -> locations, computed document by document."""
    return {
        content: tuple(
            sorted(
                (state.location for state in documents if state.content_hash == content),
                key=lambda location: location.document_id,
            )
        )
        for content in {state.content_hash for state in documents if state.content_hash}
    }

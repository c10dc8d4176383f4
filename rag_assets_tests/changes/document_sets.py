"""Any documents of two sources, before and after. Few locations and contents, for many collisions."""

from hypothesis import strategies as st

from rag_assets.records import DocumentState
from rag_assets_tests.documents import hashed, place

_LOCATIONS = st.builds(
    place,
    st.sampled_from(["1", "2", "3", "4"]),
    st.sampled_from(["s3", "web"]),
    title=st.sampled_from(["", "T"]),
    modified_at=st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"]),
    access=st.sampled_from([None, (), ("hr",)]),
)
_CONTENTS = st.sampled_from([hashed(text) for text in "XYZ"])


def _by_id(states: list[DocumentState]) -> list[DocumentState]:
    return list({state.document_id: state for state in states}.values())


before_sets = st.lists(st.builds(DocumentState, _LOCATIONS, _CONTENTS), max_size=8).map(_by_id)
after_sets = st.lists(
    st.one_of(
        st.builds(DocumentState, _LOCATIONS, _CONTENTS),
        st.builds(DocumentState, _LOCATIONS, st.none(), st.just("corrupt"), st.just("torn")),
    ),
    max_size=8,
).map(_by_id)
complete_sets = st.frozensets(st.sampled_from(["s3", "web"]))

import inspect
import re

import pytest

from rag_assets import errors
from rag_assets.errors import (
    MENDED_BY_REBUILD,
    DiskUnusable,
    GenerationDamaged,
    HandleClosed,
    PermanentError,
    StateFormatError,
    TransientError,
    VectorStoreUnavailable,
)


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        match = re.match(r"((?:│   |    )*)(?:[├└]── )?([A-Z]\w+(?:Error|[a-z]))(?:\s{2,}|$)", line)
        if match:
            depth = 0 if match[2] == "RagAssetsError" else 1 + len(match[1]) // 4
            path = [*path[:depth], match[2]]
            drawn[match[2]] = path[-2] if depth else "Exception"
    classes = inspect.getmembers(
        errors, lambda member: inspect.isclass(member) and issubclass(member, Exception)
    )
    assert drawn == {name: kind.__base__.__name__ for name, kind in classes}


@pytest.mark.parametrize("kind", [GenerationDamaged, HandleClosed, DiskUnusable, StateFormatError])
def test_a_failure_that_needs_a_rebuild_or_a_person_is_not_retried(kind: type[Exception]) -> None:
    assert issubclass(kind, PermanentError)
    assert not issubclass(kind, TransientError | VectorStoreUnavailable)


def test_only_unreadable_or_damaged_state_leads_to_a_rebuild() -> None:
    assert set(MENDED_BY_REBUILD) == {StateFormatError, GenerationDamaged}

"""Whether the inputs of a step belong together, and to the settings of its run."""

from collections.abc import Iterable
from typing import Any

from rag_assets.artifacts.artifact import Artifact, Header
from rag_assets.errors import StaleInputError
from rag_assets.fingerprint import fingerprint_difference


def require_same_refresh(artifacts: Iterable[Artifact]) -> Header:
    """Return the header that all artefacts share.

    Raises:
        StaleInputError: they belong to different refreshes, bases or settings.
    """
    first, *others = artifacts
    for other in others:
        mine, theirs = first.header, other.header
        if (mine.refresh_id, mine.base) != (theirs.refresh_id, theirs.base):
            raise StaleInputError(
                f"{first.asset} and {other.asset} are of different refreshes ({mine.refresh_id} on "
                f"{mine.base}, {theirs.refresh_id} on {theirs.base}): materialize {first.asset} and everything "
                "after it"
            )
        require_fingerprint(other, mine.fingerprint)
    return first.header


def require_fingerprint(artifact: Artifact, fingerprint: dict[str, Any]) -> None:
    """Refuse an input that was made with other settings than this run's.

    Raises:
        StaleInputError: names the settings that differ.
    """
    differing = fingerprint_difference(artifact.header.fingerprint, fingerprint)
    if differing:
        raise StaleInputError(
            f"{artifact.asset} of refresh {artifact.header.refresh_id} was made with other settings "
            f"({', '.join(differing)}): materialize deduped_documents and everything after it with the settings "
            "of this run, or run with the settings of that refresh"
        )

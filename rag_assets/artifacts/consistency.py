"""Checks that the inputs of a step belong together and match the settings of its run."""

from collections.abc import Iterable
from typing import Any

from rag_assets.artifacts.parquet_artifact import Artifact, Header
from rag_assets.errors import StaleInputError
from rag_assets.fingerprint import fingerprint_difference


def require_same_refresh(artifacts: Iterable[Artifact]) -> Header:
    """Return the common header of all artifacts.

    Raises:
        StaleInputError: the artifacts have different refreshes, bases or settings.
    """
    first, *others = artifacts
    for other in others:
        mine, theirs = first.header, other.header
        if (mine.refresh_id, mine.base) != (theirs.refresh_id, theirs.base):
            raise StaleInputError(
                f"{first.asset} and {other.asset} are from different refreshes ({mine.refresh_id} on "
                f"{mine.base}, {theirs.refresh_id} on {theirs.base}): materialize {first.asset} and everything "
                "after it"
            )
        require_fingerprint(other, mine.fingerprint)
    return first.header


def require_fingerprint(artifact: Artifact, fingerprint: dict[str, Any]) -> None:
    """Refuse an input with settings different from those of this run.

    Raises:
        StaleInputError: the message names the different settings.
    """
    differing = fingerprint_difference(artifact.header.fingerprint, fingerprint)
    if differing:
        raise StaleInputError(
            f"{artifact.asset} of refresh {artifact.header.refresh_id} was made with different settings "
            f"({', '.join(differing)}): materialize deduped_documents and everything after it with the settings "
            "of this run, or run with the settings of that refresh"
        )

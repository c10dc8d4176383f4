"""Folders and sources that go to nothing, or nearly: more often a lost mount or a broken site than a deletion."""

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from rag_assets.records import DocumentState, Outage
from rag_assets.text.wording import counted

MOST_DELETED_AT_ONCE = 10
"""As many documents may always be deleted."""
_FEWEST_GONE = 3
_SHARE_GONE = 0.8


def vanished_parts(
    source: str, missing: Sequence[DocumentState], listed: Iterable[str], reappeared: Set[str]
) -> list[Outage]:
    """Return an outage for each folder that goes from more than 10 documents to none, or for a source without any.

    Args:
        missing: documents of this source in production, not listed now.
        listed: paths of all documents of this source listed now.
        reappeared: contents now in a place where they were not before. Their missing documents have moved.
    """
    lost = [state.location.path for state in missing if state.content_hash not in reappeared]
    if not lost:
        return []
    totals = num_by_folder(lost)
    alive = num_by_folder(listed)
    if not alive:
        folders = [""]
    else:
        empty = {
            folder
            for folder, number in totals.items()
            if number > MOST_DELETED_AT_ONCE and folder not in alive
        }
        folders = sorted(folder for folder in empty if _parent(folder) not in empty)
    found: list[Outage] = []
    for folder in folders:
        kept = frozenset(path for path in lost if path.startswith(folder))
        # A prefix is short. Single paths only if documents below it have moved.
        whole = len(kept) == sum(state.location.path.startswith(folder) for state in missing)
        found.append(
            Outage(
                source,
                folder or "the whole source",
                f"none of {counted(len(kept), 'document')} is left",
                below=folder if whole else None,
                paths=frozenset() if whole else kept,
            )
        )
    return found


def gone_parts(source: str, served: Iterable[str], gone: Iterable[str]) -> list[Outage]:
    """Return an outage for each folder with most of its documents listed, and not found when they were read.

    The source contradicts itself. For a single document the later answer counts.

    Args:
        served: paths of the documents of this source in production.
        gone: paths of the listed documents not found.
    """
    served = set(served)
    gone = served.intersection(gone)
    totals, lost = num_by_folder(served), num_by_folder(gone)
    failed: list[str] = []
    for folder in sorted(lost, key=len):
        is_failed = lost[folder] >= _FEWEST_GONE and lost[folder] >= _SHARE_GONE * totals[folder]
        if is_failed and not folder.startswith(tuple(failed)):
            failed.append(folder)
    return [
        Outage(
            source,
            folder or "the whole source",
            f"{lost[folder]} of {counted(totals[folder], 'listed document')} were not found when they were read",
            paths=frozenset(path for path in gone if path.startswith(folder)),
        )
        for folder in failed
    ]


def num_by_folder(paths: Iterable[str]) -> Counter[str]:
    """Return folder -> number of the documents below it. The folder "" is the whole source."""
    found = Counter[str]()
    for path in paths:
        parts = path.partition("?")[0].split("/")
        found.update("".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts)))
    return found


def _parent(folder: str) -> str:
    return folder[: folder.rstrip("/").rfind("/") + 1]

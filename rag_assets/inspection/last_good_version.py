"""The last good version of a quarantined document: whether production serves it now.

The refresh that quarantined the document cannot know: a rollback since then may have taken that version away.
"""

from collections.abc import Collection


def last_good_version(document_id: str, served: Collection[str]) -> str:
    """Return a clause for a person.

    Args:
        served: ids of the documents in production now.
    """
    return "its last good version is served" if document_id in served else "no version of it is served"

"""Errors of Dagster's own storage, in words for a person. Dagster's text is a trace of several screens."""

from sqlalchemy.exc import DBAPIError, OperationalError

from rag_assets.errors import causes_of


class StorageUnavailable(OperationalError):
    """An error of the database with its own message. Dagster still sees what it retries."""

    def __init__(self, message: str, cause: BaseException) -> None:
        super().__init__(None, None, cause)
        self.message = message

    def __str__(self) -> str:
        return self.message


def storage_problem(error: BaseException) -> str:
    """Return what is wrong with Dagster's storage, and what to do. "" if the error has another cause."""
    found = [cause for cause in causes_of(error) if isinstance(cause, DBAPIError)]
    for cause in found:
        if isinstance(cause, StorageUnavailable):
            return str(cause)
    if not found:
        return ""
    # A storage that the user has chosen. Its text may quote an event, except for its first line.
    said = (str(found[-1].orig).strip().splitlines() or [type(found[-1]).__name__])[0]
    return f"Dagster's storage: {said}. Check `storage` in dagster.yaml and its database, then try again"

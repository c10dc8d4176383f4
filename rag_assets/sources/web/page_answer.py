"""The meaning of an answer for one page: a page, no page any more, or a failure of this page."""

from rag_assets.errors import DocumentGone, DocumentUnreadable
from rag_assets.safe_http import Answer

GONE = frozenset((404, 410))
_FORBIDDEN = frozenset((401, 403))


def require_page(answer: Answer, *, is_known: bool) -> None:
    """Raise an error unless the answer has a page, or says that a known page is unchanged.

    Raises:
        DocumentGone: the server is sure.
        DocumentUnreadable: any other status.
    """
    status = answer.status
    if status == 200 or (status == 304 and is_known):
        return
    if status in GONE:
        raise DocumentGone(f"The server answered with status {status}.")
    advice = "Every refresh tries again."
    if status in _FORBIDDEN:
        advice = "Allow access without a login, or leave the page out with `exclude`."
    raise DocumentUnreadable("unreadable", f"The server answered with status {status}. {advice}")

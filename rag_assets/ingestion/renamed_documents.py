"""Documents in production that their sources list under another id now, because secrets in URLs are replaced."""

from collections.abc import Iterable

from rag_assets.records import DocumentState
from rag_assets.sources.base import IdentifiesUrls, Source


def renamed_documents(sources: Iterable[Source], production: Iterable[DocumentState]) -> dict[str, str]:
    """Return id now -> id in production, for the documents whose id has changed."""
    identify = {source.name: source.path_now for source in sources if isinstance(source, IdentifiesUrls)}
    renamed: dict[str, str] = {}
    for state in production:
        source, path = state.location.source, state.location.path
        now = identify[source](path) if source in identify else path
        if now != path:
            renamed.setdefault(f"{source}:{now}", state.document_id)
    return renamed

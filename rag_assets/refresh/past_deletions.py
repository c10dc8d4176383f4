"""The deletions of the last hours, from the manifest of production, or from artifacts if the manifest is damaged."""

import logging
from datetime import datetime

from rag_assets.changes.deletion_history import PastDeletion, history_from_text, unknown_before
from rag_assets.errors import MENDED_BY_REBUILD
from rag_assets.knowledge_base import KnowledgeBase

_logger = logging.getLogger(__name__)


def past_deletions(knowledge_base: KnowledgeBase, base: str | None, now: datetime) -> list[PastDeletion]:
    """Return the history of production, unknown if all its records are lost.

    Args:
        base: generation in production.
        now: with a time zone.
    """
    try:
        manifest = knowledge_base.production_manifest()
        return history_from_text(manifest.deletions if manifest else "")
    except MENDED_BY_REBUILD:
        pass
    artifacts = knowledge_base.earlier_artifacts
    staged = artifacts.kept("staging_collection")
    made_by = {one.header.refresh_id for one in staged if one.details.get("generation") == base}
    for decided in artifacts.kept("deduped_documents"):
        # Either it led to production, or it carried the history of production further.
        if "deletions" in decided.details and (
            decided.header.refresh_id in made_by or decided.header.base == base
        ):
            try:
                return history_from_text(decided.details["deletions"])
            except ValueError:
                continue
    _logger.warning("the deletions of the last 24 hours are unknown: new ones need an approval")
    return [unknown_before(now)]

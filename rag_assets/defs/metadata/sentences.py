"""One sentence per step for a person: in Dagster's log and in `rag-assets refresh`.

Each fact stands once: a number of one step is not repeated by the next.
"""

from collections.abc import Mapping
from typing import Any

from rag_assets.changes.change_set import changes_in_words
from rag_assets.defs.metadata.plots import plotted
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.text.wording import counted, usd


def sentence(step: str, metadata: Mapping[str, Any]) -> str:
    """Return what a step did.

    Args:
        step: key of an asset.
        metadata: of its materialization, as plain values.
    """
    match step:
        case "raw_documents":
            return _read(metadata)
        case "deduped_documents":
            return _changed(metadata)
        case "chunks":
            return _chunked(metadata)
        case "embeddings":
            return _embedded(metadata)
        case "staging_collection":
            return _staged(metadata)
        case "eval_report":
            return _measured(metadata)
        case "production_collection":
            return _promoted(metadata)
        case _:
            return "done"


def is_warning(step: str, metadata: Mapping[str, Any]) -> bool:
    """Whether a step ended well, but its sentence is about something for a person to do."""
    match step:
        case "raw_documents":
            return bool(metadata["num_quarantined"] or metadata["num_unreadable_sources"])
        case "embeddings":
            return bool(metadata.get("num_refused"))
        case "staging_collection":
            return bool(metadata.get("num_quarantined"))
        case "eval_report":
            return metadata.get(plotted("mrr")) is None
        case "production_collection":
            return metadata[OUTCOME_KEY] == Outcome.HELD
        case _:
            return False


def _read(metadata: Mapping[str, Any]) -> str:
    num_read, num_parsed = metadata["num_read"], metadata["num_parsed"]
    parts = [counted(metadata["num_documents"], "document")]
    if not num_read:
        parts.append("none changed since the last reading")
    elif not num_parsed:
        parts += [f"{num_read:,} read again", "with the same bytes"]
    elif num_read == num_parsed:
        parts.append(f"{num_read:,} read and parsed")
    else:
        parts.append(f"{num_read:,} read, {num_parsed:,} parsed")
    if metadata.get("num_asked"):
        parts.append(
            f"{counted(metadata['num_asked'], 'recording or picture', 'recordings and pictures')} asked"
        )
    if metadata["num_quarantined"]:
        parts.append(f"{metadata['num_quarantined']:,} quarantined")
    if metadata["num_unreadable_sources"]:
        parts.append(f"{counted(metadata['num_unreadable_sources'], 'source')} not read completely")
    if metadata.get("num_skipped_files"):
        parts.append(f"{counted(metadata['num_skipped_files'], 'file')} left out")
    return ", ".join(parts)


def _changed(metadata: Mapping[str, Any]) -> str:
    parts = [changes_in_words(metadata) or "no documents"]
    if metadata.get("num_payload_updates"):
        parts.append(f"{counted(metadata['num_payload_updates'], 'text')} with new metadata")
    if metadata.get("full_rebuild") and metadata.get("base_generation", "none") != "none":
        parts.append("all points are built again")
    return ", ".join(parts)


def _chunked(metadata: Mapping[str, Any]) -> str:
    if not metadata["num_chunks"]:
        return "no new text"
    text = f"{counted(metadata['num_chunks'], 'chunk')}, {counted(metadata['num_tokens'], 'token')}"
    flagged = metadata.get("num_flagged_chunks")
    return f"{text}, {flagged:,} flagged" if flagged else text


def _embedded(metadata: Mapping[str, Any]) -> str:
    if not metadata["num_texts"]:
        return "nothing to embed"
    parts: list[str] = []
    if metadata["num_embedded"]:
        parts.append(
            f"{counted(metadata['num_embedded'], 'text')} embedded with {metadata['embedding_model']}"
        )
    if metadata["num_cached"]:
        parts.append(f"{metadata['num_cached']:,} from the cache")
    if metadata.get("num_refused"):
        parts.append(f"{metadata['num_refused']:,} refused by the model")
    cost = metadata["cost_usd"]
    if isinstance(cost, str):
        parts.append(f"{counted(metadata['num_tokens'], 'token')} of unknown price")
    elif cost:
        parts.append(f"{counted(metadata['num_tokens'], 'token')}, {usd(cost)}")
    return ", ".join(parts)


def _staged(metadata: Mapping[str, Any]) -> str:
    if not metadata["written"]:
        return "nothing to write: production is the candidate"
    parts = [f"{metadata['num_points_added']:,} added"]
    if metadata["num_points_deleted"]:
        parts.append(f"{metadata['num_points_deleted']:,} deleted")
    if metadata["num_points_relocated"]:
        parts.append(f"{metadata['num_points_relocated']:,} with new locations")
    if metadata.get("num_quarantined"):
        parts.append(f"{counted(metadata['num_quarantined'], 'document')} quarantined")
    return f"candidate of {counted(metadata['num_points'], 'chunk')}: {', '.join(parts)}"


def _measured(metadata: Mapping[str, Any]) -> str:
    if metadata.get(plotted("mrr")) is None:
        return "nothing was measured"  # the gate says why
    milliseconds = metadata[plotted("latency_p50_seconds")] * 1000
    return (
        f"{counted(metadata[plotted('num_queries')], 'question')}: MRR {metadata[plotted('mrr')]:.3f}, "
        f"nDCG@10 {metadata[plotted('ndcg_at_10')]:.3f}, {milliseconds:.1f} ms per search"
    )


def _promoted(metadata: Mapping[str, Any]) -> str:
    outcome = metadata[OUTCOME_KEY]
    if outcome == Outcome.UNCHANGED:
        return "unchanged"
    if outcome == Outcome.HELD:
        why = f": {metadata['hold_reason']}" if metadata.get("hold_reason") else ""
        return f"held since {metadata['held_since']} by {metadata['held_by']}{why}. The candidate waits, production is unchanged"
    return (
        f"live: {counted(metadata['num_documents'], 'document')}, {counted(metadata['num_points'], 'chunk')}"
    )

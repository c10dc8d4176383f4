"""The settings in effect, with their origins. The form of `settings --json` is stable."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.effective_settings import (
    DEFAULT,
    OVERRIDES,
    EffectiveSetting,
    Override,
    effective_settings,
    names_of,
)
from rag_assets.embedders.model_identity import is_named, name_of, recorded_model
from rag_assets.environment import read_environment
from rag_assets.errors import StateFormatError
from rag_assets.inspection.lines import knowledge_base_line, labeled
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import GenerationManifest
from rag_assets.settings import Settings
from rag_assets.sources.option_settings import option_settings

_WIDEST = max(len(str(field.alias)) for field in Settings.model_fields.values()) + 2


def settings(knowledge_base: KnowledgeBase) -> dict[str, Any]:
    """Return the settings as JSON-compatible data. The keys are documented in docs/cli.md."""
    environment = read_environment()
    rows = [*effective_settings(knowledge_base.settings, environment), *option_settings(environment)]
    return {
        "knowledge_base": names_of(knowledge_base.settings),
        "home": str(environment.home),
        "env_files": [layer.origin for layer in environment.layers[1:]],
        "settings": [asdict(row) for row in rows],
        "last_run": _last_run(knowledge_base),
    }


def _last_run(knowledge_base: KnowledgeBase) -> dict[str, Any] | None:
    try:
        read = knowledge_base.artifacts.latest("raw_documents")
    except StateFormatError:
        return None
    if read is None:
        return None
    header = read.header
    return {"run_id": header.run_id, "at": header.created_at, OVERRIDES: recorded_overrides(read)}


def recorded_overrides(read: Artifact) -> list[dict[str, Any]]:
    """Return the overrides of the run of an artifact of `raw_documents`, none if an earlier version wrote it."""
    return list(read.details.get(OVERRIDES, []))


def override_lines(recorded: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line per override of a run in the past."""
    sentences = (Override(**one).sentence("was", "for the last run only") for one in recorded)
    return [labeled("OVERRIDE", sentence) for sentence in sentences]


def differing_settings(manifest: GenerationManifest, settings: Settings) -> list[dict[str, Any]]:
    """Return the settings of a generation that the next refresh would change, if they can be known without its model."""
    names = ("chunker", "chunk_size", "chunk_overlap")
    pairs = [(name, manifest.fingerprint.get(name), getattr(settings, name)) for name in names]
    model = recorded_model(manifest)
    if settings.embedding_model and not is_named(model, settings.embedding_model):
        pairs.append(("embedding_model", name_of(model), settings.embedding_model))
    return [
        {"setting": str(Settings.model_fields[name].alias), "production": built, "settings": now}
        for name, built, now in pairs
        if built != now
    ]


def differing_lines(differing: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line about a rebuild to come, without differences none."""
    if not differing:
        return []
    pairs = (f"{it['setting']} was {it['production']} and is {it['settings']} now" for it in differing)
    return [labeled("WILL REBUILD", f"the next refresh rebuilds the whole index: {', '.join(pairs)}")]


def describe(report: dict[str, Any]) -> str:
    """Return the settings as text for a person."""
    rows = [EffectiveSetting(**row) for row in report["settings"]]
    lines = [knowledge_base_line(report)]
    lines.extend(_line(row) for row in rows if row.origin != DEFAULT)
    lines.append("At their defaults:")
    lines.extend(f"  {row.variable:<{_WIDEST}}{row.value or '-'}" for row in rows if row.origin == DEFAULT)
    if report["last_run"]:
        lines.extend(override_lines(report["last_run"][OVERRIDES]))
    return "\n".join(lines)


def _line(row: EffectiveSetting) -> str:
    return f"  {row.variable:<{_WIDEST}}{row.value or '-'}  ({row.origin})"

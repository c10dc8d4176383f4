"""The identity of the model behind a name, decided once per refresh by the probe.

A model that answers as production's is production's model, also at another address: points and cached vectors stay
valid. Other weights under the same name get a revision of their own. It is part of the index fingerprint and of the
keys of the cache, so nothing of the other weights is reused.
"""

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from typing import Literal

from rag_assets.embedders.base import Embedder, model_without_asking
from rag_assets.embedders.probe import Probe, ProbedEmbedder, probe_from_text, unit_probe
from rag_assets.embedders.registry import LOCAL_NAMES
from rag_assets.errors import ConfigurationError, EmbedderUnavailable
from rag_assets.fingerprint import canonical_json
from rag_assets.ledgers.base import Ledger
from rag_assets.records import EmbeddingModel, GenerationManifest, Vectors

Outcome = Literal["verified", "first", "trusted", "changed", "unverified"]
"""Results of a check.

- `verified`: the probe agrees with production.
- `first`: production has no vectors of this model, or there is no production.
- `trusted`: production is of an earlier version without a probe. Its first answers are taken on trust.
- `changed`: other vectors under the name of production's model.
- `unverified`: the endpoint does not answer.
"""

_MINTED = re.compile(r"\+?probe-[0-9a-f]+$")


@dataclass(frozen=True, slots=True)
class Identified:
    """The embedder of a refresh, and the result of its check.

    Attributes:
        detail: one sentence for a person, "" if the probe agrees.
        tokens: billed for the probe.
    """

    embedder: ProbedEmbedder
    outcome: Outcome
    detail: str = ""
    tokens: int = 0


def recorded_model(manifest: GenerationManifest) -> EmbeddingModel:
    """Return the model of a generation. Questions must be embedded by the same model."""
    return EmbeddingModel(**manifest.fingerprint["embedding_model"])


def recorded_probe(manifest: GenerationManifest) -> Vectors | None:
    """Return the vectors of the probe of a generation, or None if an earlier version made it."""
    return probe_from_text(manifest.probe, recorded_model(manifest).dimensions)


def is_named(model: EmbeddingModel, name: str) -> bool:
    """Whether a value of RAG_EMBEDDING_MODEL names the provider and the model of a recorded one."""
    local = name.strip() in LOCAL_NAMES
    if local or model.provider == "wordllama":
        return local and model.provider == "wordllama"
    return name.strip() in (model.model, f"{model.provider}:{model.model}")


def name_of(model: EmbeddingModel) -> str:
    """Return the value of RAG_EMBEDDING_MODEL for a recorded model."""
    return LOCAL_NAMES[0] if model.provider == "wordllama" else f"{model.provider}:{model.model}"


def may_be(model: EmbeddingModel, recorded: EmbeddingModel) -> bool:
    """Whether a model may be the recorded one: all is equal but address and minted revision. The probe decides."""
    return replace(model, endpoint="", revision=_plain(model)) == replace(
        recorded, endpoint="", revision=_plain(recorded)
    )


def require_model(embedder: Embedder, recorded: EmbeddingModel) -> None:
    """Require the embedder to be of a recorded model, of any revision. It learns an unknown dimension from it.

    Raises:
        ConfigurationError: the environment has another model or endpoint under this name.
    """
    if recorded.provider == "openai":
        from rag_assets.embedders.openai import OpenAIEmbedder

        if isinstance(embedder, OpenAIEmbedder) and embedder.known_dimensions is None:
            embedder.expect_dimensions(recorded.dimensions)
    if replace(embedder.model, revision=recorded.revision) != recorded:
        raise ConfigurationError(
            f"the generation was built with {recorded.provider} {recorded.model} at "
            f"{recorded.endpoint or 'this machine'}, but the environment names "
            f"{embedder.model.endpoint or 'this machine'}: restore OPENAI_BASE_URL, or refresh to rebuild"
        )


def assumed_embedder(inner: Embedder, production: GenerationManifest | None) -> Embedder:
    """Return the embedder as production's, if it may be. Nothing is asked before the first text is sent.

    Args:
        production: manifest of production, if its model has the name of this one.
    """
    if production is None:
        return inner
    recorded, reference = recorded_model(production), recorded_probe(production)
    model = model_without_asking(inner)
    if reference is None or (model is not None and not may_be(model, recorded)):
        return inner
    return ProbedEmbedder(inner, recorded, reference)


def identify(inner: Embedder, production: GenerationManifest | None, ledger: Ledger) -> Identified:
    """Ask the probe, and decide about the model.

    The ledger keeps the vectors of the probe beside the cached vectors: for the plain name, and for the latest other
    weights. Without them cached vectors of unknown weights are not used again.

    Args:
        production: manifest of production, if its model has the name of this one.

    Raises:
        InvalidVectorError: unusable vectors.
        EmbedderUnavailable, ConfigurationError: no answer, and no production with this model.
    """
    recorded = recorded_model(production) if production is not None else None
    reference = recorded_probe(production) if production is not None else None
    try:
        # Before the model: if its dimension is unknown, the answer tells it.
        probe = Probe(inner)
        model = inner.model
        if recorded is None or not may_be(model, recorded):
            recorded = reference = None
    except (EmbedderUnavailable, ConfigurationError) as error:
        model = model_without_asking(inner)
        if recorded is None or (model is not None and not may_be(model, recorded)):
            raise
        return _unverified(inner, model, recorded, reference, ledger, error)
    found = _decide(model, recorded, reference, probe, ledger)
    if _known(found.embedder.model, ledger) is None:
        ledger.put_vectors({_key(found.embedder.model): found.embedder.verify().reshape(-1)})
    return replace(found, tokens=probe.tokens)


def _decide(
    model: EmbeddingModel,
    recorded: EmbeddingModel | None,
    reference: Vectors | None,
    probe: Probe,
    ledger: Ledger,
) -> Identified:
    def accepted(found: EmbeddingModel, vectors: Vectors, outcome: Outcome, detail: str = "") -> Identified:
        return Identified(ProbedEmbedder(probe.embedder, found, vectors, verified=True), outcome, detail)

    trusted = reference
    if recorded is not None:
        trusted = _known(recorded, ledger) if reference is None else reference
        if trusted is not None and probe.agrees_with(trusted):
            return accepted(recorded, trusted, "verified")
        if trusted is None and recorded.endpoint == model.endpoint:
            detail = (
                f"production is of an earlier version without a probe of {model.model}: the vectors of today are "
                "taken on trust"
            )
            return accepted(recorded, probe.answer, "trusted", detail)
    outcome: Outcome = "first"
    detail = ""
    if recorded is not None:
        outcome = "changed"
        where = f" at {model.endpoint}" if model.endpoint else ""
        detail = (
            f"{model.model}{where} gives other vectors than production was built with"
            if trusted is not None
            else f"production is of an earlier version without a probe, so the model {model.model}{where} cannot be "
            "compared with it"
        )
    plain = _known(model, ledger)
    # Cached vectors of the plain name without a probe: of an earlier version, or there are none.
    unknown = plain is None and (recorded is None or recorded.endpoint != model.endpoint)
    if unknown or (plain is not None and probe.agrees_with(plain)):
        return accepted(model, probe.answer if plain is None else plain, outcome, detail)
    other = _known(_other(model), ledger)
    if other is None or not probe.agrees_with(other):
        other = probe.answer
        ledger.put_vectors({_key(_other(model)): other.reshape(-1)})
    digest = hashlib.sha256(other.astype("<f4").tobytes()).hexdigest()[:12]
    revision = f"{model.revision}+probe-{digest}" if model.revision else f"probe-{digest}"
    return accepted(
        replace(model, revision=revision),
        other,
        outcome,
        detail or f"{model.model} gives other vectors than the cached ones, which are not used",
    )


def _unverified(
    inner: Embedder,
    model: EmbeddingModel | None,
    recorded: EmbeddingModel,
    reference: Vectors | None,
    ledger: Ledger,
    error: Exception,
) -> Identified:
    """Go on as production's model. Nothing is sent and nothing goes live before the probe agrees.

    Args:
        model: the configured model, None if its dimension is unknown.
    """
    if reference is None:
        reference = _known(recorded, ledger)
    if reference is None and (model is None or model.endpoint != recorded.endpoint):
        raise error
    embedder = ProbedEmbedder(inner, recorded, reference)
    return Identified(embedder, "unverified", f"{recorded.model} was not verified: {error}")


def _plain(model: EmbeddingModel) -> str:
    return _MINTED.sub("", model.revision)


def _other(model: EmbeddingModel) -> EmbeddingModel:
    return replace(model, revision=f"{model.revision}+other")


def _key(model: EmbeddingModel) -> bytes:
    return hashlib.sha256(canonical_json({"probe_of": asdict(model)})).digest()


def _known(model: EmbeddingModel, ledger: Ledger) -> Vectors | None:
    """Return the remembered vectors of the probe. Corrupt ones count as missing."""
    key = _key(model)
    try:
        return unit_probe(ledger.vectors([key])[key], model.dimensions)
    except (KeyError, ValueError):
        return None

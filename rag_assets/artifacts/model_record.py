"""The last check of the embedding model: for the later steps of its run, and for `rag-assets status`.

One record beside the artifacts, replaced as a whole. If it is lost, the next step asks the model again.
"""

import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import write_json
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.model_identity import Outcome, identify
from rag_assets.embedders.probe import ProbedEmbedder, probe_from_text, probe_to_text
from rag_assets.ledgers.base import Ledger, Spending
from rag_assets.records import EmbeddingModel, GenerationManifest

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """One check of the model.

    Attributes:
        at, verified_at: ISO 8601 in UTC. The latter is the last time with an answer, "" if there was none.
        generation: in production at that time, "" for none.
        outcome, detail: as in `rag_assets.embedders.model_identity`.
        tokens: billed for the probe.
        model: the identified model, as a mapping.
        probe: its vectors of the probe, as in a manifest.
    """

    run_id: str
    at: str
    verified_at: str
    generation: str
    outcome: Outcome
    detail: str
    tokens: int
    model: dict[str, Any]
    probe: str

    def embedder(self, inner: Embedder) -> ProbedEmbedder:
        """Return the embedder of the identified model."""
        model = EmbeddingModel(**self.model)
        reference = probe_from_text(self.probe, model.dimensions)
        return ProbedEmbedder(inner, model, reference, verified=self.outcome != "unverified")


class ModelRecord:
    """The last check of the model of one knowledge base."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "model_check.json"

    def get(self) -> ModelCheck | None:
        """Return the last check, or None if there is none or it cannot be read."""
        try:
            check = ModelCheck(**json.loads(self._path.read_text(encoding="utf-8")))
            probe_from_text(check.probe, EmbeddingModel(**check.model).dimensions)
        except (OSError, ValueError, TypeError):
            return None
        return check

    def embedder_of_run(
        self,
        run_id: str,
        inner: Embedder,
        production: GenerationManifest | None,
        generation: str | None,
        ledger: Ledger,
    ) -> Embedder:
        """Return the embedder of a run. Its first step asks the probe. Raises as `identify`.

        Args:
            production: manifest of production, if its model has the name of this one.
            generation: in production now.
        """
        last = self.get()
        if last is not None and last.run_id == run_id and last.generation == (generation or ""):
            return last.embedder(inner)
        found = identify(inner, production, ledger)
        price = found.embedder.usd_per_million_tokens
        if found.tokens:
            usd = None if price is None else found.tokens * price / 1_000_000
            ledger.add_spending(run_id, Spending("probe", found.embedder.model.model, found.tokens, usd))
        if found.detail:
            _logger.warning("%s", found.detail)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        unverified = found.outcome == "unverified"
        check = ModelCheck(
            run_id=run_id,
            at=at,
            verified_at=(last.verified_at if last else "") if unverified else at,
            generation=generation or "",
            outcome=found.outcome,
            detail=found.detail,
            tokens=found.tokens,
            model=asdict(found.embedder.model),
            probe=probe_to_text(found.embedder.reference),
        )
        with suppress(OSError):  # the later steps ask again
            make_private_folder(self._folder)
            write_json(self._path, asdict(check))
        return found.embedder

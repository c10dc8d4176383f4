"""The generations in a store by name or role, for people."""

from collections.abc import Container
from dataclasses import dataclass

from rag_assets.errors import RefusedError, StateFormatError
from rag_assets.records import GenerationManifest
from rag_assets.text.control_characters import quoted
from rag_assets.vector_stores.base import VectorStore

PRODUCTION, CANDIDATE, ROLLED_BACK = "production", "candidate", "rolled_back"


@dataclass(frozen=True, slots=True)
class StoredGeneration:
    """A sealed generation.

    Attributes:
        role: `production`, `previous`, `held`, `rolled_back` (held before, until a person resumed) or `candidate`.
    """

    role: str
    manifest: GenerationManifest

    @property
    def name(self) -> str:
        return self.manifest.generation

    def __str__(self) -> str:
        match self.role:
            case "production":
                return f"generation {self.name}, in production"
            case "previous":
                return f"generation {self.name}, the previous one"
            case "held" | "rolled_back":
                return f"generation {self.name}, taken out of production by a rollback"
            case _:
                if self.manifest.rejected:
                    reason = self.manifest.rejected.partition(";")[0]
                    return f"generation {self.name}, a candidate rejected by the gate: {reason}"
                return f"generation {self.name}, a candidate not in production"


def stored_generations(store: VectorStore, rolled_back: Container[str] = ()) -> list[StoredGeneration]:
    """Return all sealed generations: production, previous, held, and the candidates, latest first.

    A candidate outlives its refresh if it waits, or failed the gate with `RAG_KEEP_FAILED_CANDIDATE`. The next refresh
    sweeps it.

    Args:
        rolled_back: generations taken out of production by a rollback. After the hold only its record tells them from
            candidates.
    """
    state = store.production_state()
    roles = {state.production: PRODUCTION, state.previous: "previous", state.held: "held"}
    named = [name for name in roles if name is not None]
    candidates = sorted((name for name in store.generations() if name not in roles), reverse=True)
    found: list[StoredGeneration] = []
    for name in (*named, *candidates):
        try:
            manifest = store.manifest(name)
        except StateFormatError:
            continue  # of another version
        if manifest is not None:
            role = ROLLED_BACK if name in rolled_back else CANDIDATE
            found.append(StoredGeneration(roles.get(name, role), manifest))
    return found


def nothing_in_production(place: str) -> RefusedError:
    """Return the error of every question about production before the first promotion.

    Args:
        place: of the knowledge base, "" if it is unknown.
    """
    where = f" ({place})" if place else ""
    return RefusedError(f"nothing is in production yet{where}: run `rag-assets refresh`")


def find_generation(
    store: VectorStore, name: str, place: str = "", rolled_back: Container[str] = ()
) -> StoredGeneration:
    """Return the generation of this name, or the latest one in this role.

    Args:
        place: of the knowledge base, for the message of an error.
        rolled_back: as in `stored_generations`.

    Raises:
        RefusedError: there is none. The message lists the existing ones.
    """
    generations = stored_generations(store, rolled_back)
    for one in generations:
        if name in (one.name, one.role):
            return one
    if not generations or name == PRODUCTION:
        raise nothing_in_production(place)
    kept = "" if name != CANDIDATE else ". RAG_KEEP_FAILED_CANDIDATE=true keeps one that fails the gate"
    existing = "; ".join(map(str, generations))
    raise RefusedError(f"there is no generation {quoted(name)}{kept}. Existing: {existing}")

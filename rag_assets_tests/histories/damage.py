"""Damage to a sealed generation, done by another hand: the files keep their sizes, the points change."""

import qdrant_edge as edge

from rag_assets.vector_stores.base import DENSE
from rag_assets_tests.documents import MODEL, vector_of
from rag_assets_tests.histories.world import World

DAMAGES = ("locations", "text", "vectors")


def damage_candidate(world: World, what: str) -> None:
    """Change one point of each generation other than production, the previous and the held one.

    Only one, because the engine counts its operations in a file, and one digit more is another size.
    """
    with world.knowledge_base() as knowledge_base:
        state = knowledge_base.vector_store.production_state()
        names = knowledge_base.vector_store.generations()
    for name in set(names) - {state.production, state.previous, state.held}:
        folder = world.state_dir / "vector_store" / "knowledge_base" / "generations" / name / "shard"
        shard = edge.EdgeShard.load(str(folder))
        records, _ = shard.scroll(edge.ScrollRequest(limit=10_000, with_payload=True, with_vector=True))
        for record in [record for record in records if record.payload["chunk_index"] == 0][:1]:
            payload = dict(record.payload)
            if what == "locations":
                payload["locations"] = [
                    {**location, "path": location["path"][::-1]} for location in payload["locations"]
                ]
            if what == "text":
                payload["text"] = payload["text"][::-1]
            if what == "vectors":
                vector = vector_of(f"other than {record.id}", MODEL.dimensions)
                shard.update(
                    edge.UpdateOperation.update_vectors(
                        [edge.PointVectors(record.id, {DENSE: vector.tolist()})]
                    )
                )
            shard.update(edge.UpdateOperation.overwrite_payload([str(record.id)], payload))
        shard.flush()
        shard.close()

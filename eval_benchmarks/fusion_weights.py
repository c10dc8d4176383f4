"""Compares weights of the dense half: asks production every benchmark question under each weight.

    python eval_benchmarks/fusion_weights.py

Prints Recall@1, Recall@5, MRR and nDCG@10 for each `RAG_DENSE_WEIGHT`. Needs a knowledge base in production.
"""

from rag_assets.evaluation.benchmark import DocumentNames, load_benchmark
from rag_assets.evaluation.evaluate import evaluate_generation
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings


def main() -> None:
    print("| dense weight | Recall@1 | Recall@5 | MRR | nDCG@10 |\n|---|---|---|---|---|")
    for tenths in range(11):
        knowledge_base = KnowledgeBase(load_settings(dense_weight=tenths / 10))
        manifest = knowledge_base.production_manifest()
        if manifest is None:
            raise SystemExit("production is empty: refresh first")
        search = knowledge_base.retriever().open(manifest.generation)
        benchmark = load_benchmark(knowledge_base.settings.benchmark_file)
        names = DocumentNames(knowledge_base.documents_of(manifest.generation))
        scores, _ = evaluate_generation(search, benchmark, names, search.embedder.embed_query)
        print(
            f"| {tenths / 10} | {scores.means['recall_at_1']:.3f} | {scores.recall_at_5:.3f} | {scores.means['mrr']:.3f} "
            f"| {scores.means['ndcg_at_10']:.3f} |"
        )
        knowledge_base.close()


if __name__ == "__main__":
    main()

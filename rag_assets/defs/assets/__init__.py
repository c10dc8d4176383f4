"""The seven assets, in the order of the data flow."""

from rag_assets.defs.assets.chunks import chunks
from rag_assets.defs.assets.deduped_documents import deduped_documents
from rag_assets.defs.assets.embeddings import embeddings
from rag_assets.defs.assets.eval_report import eval_report
from rag_assets.defs.assets.production_collection import production_collection
from rag_assets.defs.assets.raw_documents import raw_documents
from rag_assets.defs.assets.staging_collection import staging_collection

ALL_ASSETS = (
    raw_documents,
    deduped_documents,
    chunks,
    embeddings,
    staging_collection,
    eval_report,
    production_collection,
)

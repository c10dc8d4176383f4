"""Ledgers: a cache of documents, parses and embeddings, and the lease of a refresh."""

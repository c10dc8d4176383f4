"""Embedders, their cache keys, and the identity of a model. `registry` builds an embedder by name."""

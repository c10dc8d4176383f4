"""Purge: a document removed from all that is kept, and kept out while its source still has it."""

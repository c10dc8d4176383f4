"""The ledger: a cache of what was seen, parsed and embedded, and the lease of a refresh."""

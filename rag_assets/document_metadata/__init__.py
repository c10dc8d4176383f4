"""A document's own metadata: typed, bounded, and without secrets. Sources, parsers and filters share it."""

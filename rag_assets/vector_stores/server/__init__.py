"""The server store: generations in collections of a Qdrant server or cluster."""

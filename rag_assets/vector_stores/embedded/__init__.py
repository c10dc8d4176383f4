"""The embedded store: generations in folders, read and written by Qdrant's engine in this process."""

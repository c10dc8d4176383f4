"""Backup and restore: everything of a knowledge base that no source can give back, of one moment, in one place."""

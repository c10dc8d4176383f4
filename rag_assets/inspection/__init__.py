"""Answers to questions about a knowledge base. Read-only."""

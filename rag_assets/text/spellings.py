"""Spellings of one name. macOS stores accents apart from their letters (NFD), and people type them together (NFC)."""

from unicodedata import normalize


def composed(name: str) -> str:
    """Return the name as people type it, for comparisons. Ids keep their characters."""
    return name if name.isascii() else normalize("NFC", name)


def spellings(name: str) -> list[str]:
    """Return the name as given, composed and decomposed, each once."""
    return list(dict.fromkeys((name, composed(name), normalize("NFD", name))))

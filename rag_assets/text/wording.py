"""Numbers with their nouns, for messages."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 document`, `2,000 documents`, `0 documents`.

    Args:
        number: how many.
        noun: singular.
        plural: if it is not the singular with an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

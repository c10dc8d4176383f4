"""Numbers with their nouns and units, for messages."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 document`, `2,000 documents`, `0 documents`.

    Args:
        number: how many.
        noun: singular.
        plural: if it is not the singular with an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def usd(amount: float) -> str:
    """Return an amount of money with at least two significant digits: `0.0013 USD`, `12.40 USD`."""
    return f"{amount:,.2f} USD" if amount >= 1 or amount == 0 else f"{amount:.4f} USD"

"""Ordinary English text for tests, deterministic, of any length."""

import random

_VOCABULARY = (
    "the a of and to in is that for with policy employee travel expense report manager approval request "
    "within days after before annual leave insurance benefit customer product warranty security document "
    "information internationalization classification retention schedule shall must may reimbursement hotel "
    "receipt amount currency office department system password authentication 2024 15 first second quarterly"
)


def sentence(random_source: random.Random) -> str:
    picked = random_source.choices(_VOCABULARY.split(), k=random_source.randint(6, 18))
    return " ".join(picked).capitalize() + random_source.choice([".", ".", ".", "?", "!"])


def paragraphs(n_words: int, seed: int = 0, sentences: int = 5) -> str:
    """Return about `n_words` words in paragraphs of `sentences` sentences."""
    random_source = random.Random(seed)
    parts: list[str] = []
    count = 0
    while count < n_words:
        parts.append(" ".join(sentence(random_source) for _ in range(sentences)))
        count += len(parts[-1].split())
    return "\n\n".join(parts)

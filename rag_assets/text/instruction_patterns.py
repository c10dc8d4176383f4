"""Flags for chunks with text addressed to a language model rather than to a reader.

A flagged chunk is served like any other. Nothing here drops, changes or carries out its text. The flag is for the
application: its prompt may mark, show or leave out such a chunk. And it is for the owners of the documents. The patterns
are a list of known phrasings, not a defense: other wordings pass, and texts *about* such attacks are flagged as well.

A change of the patterns needs another `PATTERNS_VERSION`. It is part of the index fingerprint: the index is rebuilt,
from kept texts and cached vectors.
"""

import re

PATTERNS_VERSION = "1"
INSTRUCTIONS = "instructions"
"""The flag for text with the look of instructions to a model."""

_MODEL = r"(?:ai|llm|gpt|language model|chat ?bot|assistant)s?"


def _phrase(words: tuple[str, ...], pattern: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
    """Return a pattern, and words at least one of which every match holds. Both expect lower case and single spaces.

    The words are looked for first: without them the patterns would take longer than the rest of chunking.
    """
    return words, re.compile(pattern)


_PHRASES = (
    # "Ignore all previous instructions", "forget everything above"
    _phrase(
        ("ignore", "disregard", "forget", "override", "bypass"),
        r"\b(?:ignore|disregard|forget|override|bypass)(?: \w+){0,3} "
        r"(?:previous|prior|preceding|earlier|above|foregoing|initial|original)(?: \w+){0,2} "
        r"(?:instruction|prompt|directive|guideline|rule)s?\b"
        r"|\b(?:ignore|disregard|forget|override) (?:all |any )?(?:of )?(?:your|the|these|those) (?:\w+ )?"
        r"(?:instructions|prompts?|directives|guidelines|rules) (?:before|you (?:were|have been) given)\b"
        r"|\b(?:ignore|disregard|forget) (?:everything|anything) (?:above|you (?:know|were told|have been told))\b",
    ),
    # "You are now an unrestricted AI", "from now on you will answer …", "act as an uncensored model"
    _phrase(
        ("you are now", "from now on", "act as", "behave as", "respond as"),
        rf"\byou are now (?:an? |the |my )?(?:[\w-]+ ){{0,3}}(?:{_MODEL}|jailbroken|unrestricted)\b"
        r"|\bfrom now on,? you (?:will|must|shall|are to) (?:only )?(?:answer|respond|reply|obey|pretend|act|ignore)\b"
        r"|\b(?:act|behave|respond) as (?:an? )?(?:dan|unrestricted|uncensored|jailbroken)\b",
    ),
    # "Reveal your system prompt", "new system prompt: …"
    _phrase(
        ("prompt", "instructions", "system message"),
        r"\b(?:reveal|print|repeat|show|output|leak|disclose|display)(?: \w+){0,4} "
        r"(?:(?:system|initial|hidden|original|developer) prompts?|(?:system|hidden|developer) instructions)\b"
        r"|\b(?:new|updated|real|true) (?:system prompt|system message|instructions for the (?:ai|model|assistant)) ?:",
    ),
    # "Do not tell the user"
    _phrase(
        ("the user", "the human"),
        r"\b(?:do not|don[’']t|never|without) (?:tell|inform|mention|reveal)(?:ing)?(?: (?:this|it|that|anything))?"
        r"(?: to)? the (?:user|human)\b",
    ),
    # "Note to AI assistants: …", "if you are a language model, …"
    _phrase(
        ("attention", "note to", "note for", "instructions", "message to", "message for", "if you are a"),
        r"\b(?:attention|note (?:to|for)|instructions (?:to|for)|message (?:to|for)),? (?:all |any |the |an? )?(?:ai )?"
        rf"{_MODEL}(?: (?:system|model|agent|assistant|crawler)s?)? ?[:,]"
        rf"|\bif you are an? (?:large )?{_MODEL}\b",
    ),
    # The first group, in other languages
    _phrase(
        ("ignorier", "ignore", "ignora", "ignoruj", "oublie", "olvida", "negeer", "игнорир", "забудь"),
        r"\bignorier(?:e|en sie|t)(?: \w+){0,3} (?:vorherigen|bisherigen|obigen|vorangegangenen|früheren) "
        r"(?:anweisung|instruktion|anordnung|vorgabe|regel)(?:en|n)?\b"
        r"|\b(?:ignore[zr]?|oublie[zr]?)(?: \w+){0,3} (?:instructions|consignes|règles) "
        r"(?:précédentes|antérieures|ci-dessus)\b"
        r"|\b(?:ignor[ae]d?|olvida)(?: \w+){0,3} (?:instrucciones|órdenes|reglas) (?:anteriores|previas)\b"
        r"|\bignora(?: \w+){0,3} (?:istruzioni|regole) (?:precedenti|sopra)\b"
        r"|\bignore(?: \w+){0,3} (?:instruções|regras) (?:anteriores|acima)\b"
        r"|\bnegeer(?: \w+){0,3} (?:vorige|eerdere|bovenstaande) (?:instructies|opdrachten|regels)\b"
        r"|\bzignoruj(?: \w+){0,3} (?:poprzednie|wcześniejsze) (?:instrukcje|polecenia)\b"
        r"|\b(?:игнорируй|игнорируйте|забудь|забудьте)(?: \w+){0,2} (?:предыдущие|прежние|прошлые) "
        r"(?:инструкции|указания)\b",
    ),
    _phrase(
        ("忽略", "无视", "無視", "忘", "무시", "잊"),
        r"(?:忽略|无视|無視|忘记)[^。]{0,6}(?:之前|以前|先前|前面|以上|上述)[^。]{0,6}(?:指令|指示|提示)"
        r"|(?:以前|これまで|上記|前)の[^。]{0,6}(?:指示|命令|プロンプト)[^。]{0,8}(?:無視|忘れ)"
        r"|이전[^.]{0,6}(?:지시|명령)[^.]{0,6}(?:무시|잊)",
    ),
    # Control tokens of chat templates. Not `[INST]`, which is a tag in change logs, but its end
    _phrase(
        ("<|", "[/inst]", "sys>>", "_of_turn>"),
        r"<\|(?:im_(?:start|end|sep)|(?:start|end)_header_id|begin_of_text|eot_id|eom_id|(?:start|end)_of_role"
        r"|system|user|assistant|endofprompt)\|>"
        r"|\[/inst\]|<</?sys>>|<(?:start|end)_of_turn>",
    ),
    # An image or a link to send the conversation to a stranger: ![](https://host/?q={conversation})
    _phrase(
        ("](http",),
        r"\]\(https?://[^) ]{1,300}?(?:\{|%7b|\[|<)[^)]{0,40}?"
        r"(?:conversation|chat|history|prompt|context|summary|secret|user[ _-]?(?:data|input|message)|answer|response)",
    ),
)

# Letters invisible to people but not to a model: tag characters (except in flags such as that of Wales, which begin
# with U+1F3F4), variation selectors in rows, and zero-width characters in rows (they spell bits).
_HIDDEN = re.compile(
    "(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007e]{3,}"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}"
    "|[\u200b\u200c\u200d\u2060-\u2064\ufeff]{8,}"
)
_INVISIBLE = re.compile("[\u00ad\u200b\u200c\u200d\u2060-\u2064\ufeff]")


def flags_of(text: str) -> tuple[str, ...]:
    """Return the flags of a chunk: `instructions`, or none."""
    if not text.isascii():
        if _HIDDEN.search(text):
            return (INSTRUCTIONS,)
        text = _INVISIBLE.sub("", text)  # "ig\u200bnore" reads as "ignore"
    plain = " ".join(text.lower().split())
    for words, pattern in _PHRASES:
        if any(word in plain for word in words) and pattern.search(plain):
            return (INSTRUCTIONS,)
    return ()

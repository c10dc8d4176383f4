"""Secrets and personal fields, recognized by the name of a key or the form of a value.

A secret never leaves the source or the parser. A personal field is left out unless `RAG_METADATA_KEEP` names it.
Authors count as personal: programs write the name of an account there, often unknown to its owner.
"""

import re
from functools import lru_cache
from itertools import pairwise

from rag_assets.document_metadata.url_secrets import has_secret_parameter

_SECRET_KEY = re.compile(
    r"(^|_)(passw(or)?d|passwords|passwort|kennwort|pwd|passphrase|passcode|secrets?|tokens?|jwt|otp|pin|"
    r"(api|access|secret|private|encryption|license|account|shared|signing)_?keys?|apikey|credentials?|creds|"
    r"auth|authorization|bearer|cookies?|session_?(id|key)|sas|connection_?string|webhook(_?url)?)(_|$)|"
    # Written together, as many programs do.
    r"(^|_)pw(_|$)|(password|passwd|passphrase|secret|token|(api|access|secret|private)key|credentials?)(_|$)"
)
_PERSONAL_KEY = re.compile(
    r"(^|_)(authors?|autor(en)?|auteurs?|creators?|contributors?|editors?|owners?|manager|artist|"
    r"(last_)?(created|modified|updated|edited|saved|changed|approved|reviewed|written|published|submitted)_?by|by|"
    r"reviewers?|approvers?|assignees?|maintainers?|"
    r"e?mails?|e_mails?|courriel|phones?|telephone|telefon|tel|mobile_number|fax|"
    r"address|addresses|street|postal_?code|zip_?code|birth(day|_?date)?|date_of_birth|dob|gender|"
    r"ssn|social_security(_number)?|passport|iban|tax_?id|salary|"
    r"(first|last|full|given|family|middle|user|nick)_?name|surname|username|user|users|user_?id|login|"
    r"sender|recipients?|reply_to|people|persons?|contacts?|participants?|attendees)(_|$)|^(from|to|cc|bcc)$|"
    # Written together, as many programs do.
    r"(emailaddress|phonenumber|birthdate|dateofbirth|(author|creator|editor|owner|user|first|last|full|given|family)name|"
    r"(created|modified|updated|edited|saved|changed|approved|reviewed|written|published|submitted)by)(_|$)"
)
SECRET_FORM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY[^\0]{0,10000}?(-----END|\Z)|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bsk-[\w-]{16,}|"
    r"\b[rs]k_(live|test)_\w{10,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[abeprs]-[\w-]{10,}|"
    r"\bxapp-[\w-]{20,}|\b(npm|hf|dop_v1|shpat|glsa|dckr_pat)_[a-z0-9_-]{24,}|\bpypi-[\w-]{40,}|\bya29\.[\w.-]{20,}|"
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\bAIza[\w-]{30,}|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}(\.[\w-]+)?|"
    r"\bhooks\.slack\.com/services/[\w/-]*|\bdiscord(app)?\.com/api/webhooks/[\w/-]*|\.webhook\.office\.com/[\w/@-]*|"
    r"\bapi\.telegram\.org/bot[\w:-]+|\b[Bb]earer\s+[\w.~+/=-]{16,}",
    re.IGNORECASE,
)
"""Keys and tokens of known services. detect-secrets is made for lines of source code, and has no rule for Hugging Face."""
_LOGIN_IN_URL = re.compile(r"://[^\s/@:]*:[^\s/@]+@|\bhttps?://[^\s/@]{16,}@")
_PERSONAL_VALUE = re.compile(r"[\w.%+-]{1,64}@[\w-]{1,64}(\.[\w-]{1,64})+|^\+\d[\d ()/.-]{6,20}\d$")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_CHANGES_BETWEEN_CHARACTERS = 0.4


@lru_cache(4096)
def is_secret_key(key: str) -> bool:
    """Whether a normalized key names a secret."""
    return _SECRET_KEY.search(key) is not None


def is_secret_value(text: str) -> bool:
    """Whether a text holds a key, a token, or a URL with one."""
    return (
        SECRET_FORM.search(text) is not None
        or _LOGIN_IN_URL.search(text) is not None
        or has_secret_parameter(text)
        or any(_looks_random(word) for word in _LONG_WORD.findall(text))
    )


@lru_cache(4096)
def is_personal_key(key: str) -> bool:
    """Whether a normalized key names a person, or how to reach one."""
    return _PERSONAL_KEY.search(key) is not None


def is_personal_value(text: str) -> bool:
    """Whether a text holds an e-mail address, or is a telephone number."""
    return ("@" in text or text.startswith("+")) and _PERSONAL_VALUE.search(text) is not None


def _looks_random(word: str) -> bool:
    """Whether upper case, lower case and digits alternate as in a key, and not as in names of files and hex hashes."""
    kinds = ["u" if it.isupper() else "l" if it.islower() else "d" for it in word if it.isalnum()]
    if len(set(kinds)) < 3:
        return False
    num_changes = sum(one != other for one, other in pairwise(kinds))
    return num_changes > _CHANGES_BETWEEN_CHARACTERS * len(kinds)

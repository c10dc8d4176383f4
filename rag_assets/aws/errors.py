"""Errors of AWS and of compatible services in our own words, with the advice for each use of a service."""

import re
from dataclasses import dataclass
from typing import Any

_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or give the machine a role."
_OTHER_SECRET_KEY = f"The secret key does not belong to the access key. {_CREDENTIALS}"
_RENEW = "Renew the credentials."
_CREDENTIALS_ADVICE = {
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "InvalidToken": _RENEW,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "CredentialRetrievalError": _CREDENTIALS,
    "SignatureDoesNotMatch": _OTHER_SECRET_KEY,
    "InvalidSignatureException": _OTHER_SECRET_KEY,
    "RequestTimeTooSkewed": "Set the clock of this machine.",
}
_ADVICE = {
    **_CREDENTIALS_ADVICE,
    "ProfileNotFound": "AWS_PROFILE names a profile that does not exist.",
    "UnauthorizedSSOTokenError": "Log in again with `aws sso login`.",
    "SSOTokenLoadError": "Log in with `aws sso login`.",
    "NotImplemented": "This service does not offer it: leave out the option for it.",
    "SSLError": "Its certificate is not trusted: set AWS_CA_BUNDLE to the certificate of its authority.",
}
_DENIED = frozenset(("AccessDenied", "AccessDeniedException"))
_MISSING = frozenset(
    (
        "NoSuchBucket",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "ResourceNotFoundException",
        "ParameterNotFound",
    )
)
_ANOTHER_REGION = frozenset(("PermanentRedirect", "AuthorizationHeaderMalformed"))
_NO_REGION = "NoRegionError"
_BUSY = frozenset(
    (
        "SlowDown",
        "RequestTimeout",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    )
)
_SAFE_CODE = re.compile(r"[A-Za-z0-9._]{1,80}")


@dataclass(frozen=True, slots=True)
class AwsUse:
    """One use of a service of AWS, with its own advice as sentences.

    Attributes:
        allow: the permissions to give.
        find: where the name of the bucket, queue or secret is from.
        region: the name of the option or variable with the region. No sentence.
        address: the same for the address of the service.
        later: the next attempt, by itself or by a person.
        codes: code of this service only -> advice.
    """

    allow: str
    find: str
    region: str
    address: str
    later: str = "The next refresh tries again."
    codes: tuple[tuple[str, str], ...] = ()


READING_A_BUCKET = AwsUse(
    "Allow these credentials s3:ListBucket on the bucket and s3:GetObject on its objects.",
    "Check `bucket`, `region` and `endpoint_url`.",
    "`region`",
    "`endpoint_url`",
)
READING_A_QUEUE = AwsUse(
    "Allow these credentials sqs:ReceiveMessage and sqs:DeleteMessage on the queue.",
    "Check `queue_url` and `region`.",
    "`region`",
    "`queue_url`",
    "The sensor tries again.",
)
KEEPING_A_BACKUP = AwsUse(
    "Allow these credentials s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects.",
    "Check the name of the bucket, and AWS_ENDPOINT_URL.",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "Try again later.",
)
_DECRYPTION = "kms:Decrypt for the key of the secret"
READING_A_SECRET = AwsUse(
    f"Allow these credentials secretsmanager:GetSecretValue, and {_DECRYPTION}.",
    "There is no such secret in this region and account.",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "Try again later.",
    (
        ("DecryptionFailure", f"Allow these credentials {_DECRYPTION}."),
        ("InvalidRequestException", "The secret is marked for deletion."),
        ("ValidationException", "The name has another form."),
    ),
)
READING_A_PARAMETER = AwsUse(
    f"Allow these credentials ssm:GetParameter, and {_DECRYPTION}.",
    "There is no such parameter in this region and account.",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "Try again later.",
    (
        ("ParameterVersionNotFound", "There is no such version of the parameter."),
        ("ValidationException", "The name has another form."),
    ),
)


def aws_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a client for errors of the service or the network."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    return (BotoCoreError, ClientError, ResponseParserError, HTTPError)


def code_of(error: Exception) -> str:
    """Return the code of an answer, such as `NoSuchKey`, or the name of the exception without an answer."""
    code = str(_answer(error, "Error").get("Code", ""))
    if code:
        return code if _SAFE_CODE.fullmatch(code) else "unknown code"
    return type(error).__name__


def status_of(error: Exception) -> int:
    """Return the HTTP status of an answer, or 0 without one."""
    return int(_answer(error, "ResponseMetadata").get("HTTPStatusCode", 0))


def concerns_all(error: Exception) -> bool:
    """Return whether an error for one object means the same error for all objects."""
    code, status = code_of(error), status_of(error)
    if code in _CREDENTIALS_ADVICE or code in _BUSY or code == "NoSuchBucket" or status == 401:
        return True
    return not 400 <= status < 500 or status in (408, 429)


def is_lasting(error: Exception) -> bool:
    """Return whether an error stays until a person acts: refused credentials, a missing bucket, a wrong region."""
    code = code_of(error)
    if code in _ADVICE or code in _DENIED | _MISSING | _ANOTHER_REGION or code == _NO_REGION:
        return True
    return code not in _BUSY and status_of(error) in (401, 403, 404)


def in_words(error: Exception, use: AwsUse) -> str:
    """Return the error and advice. Without the error's own message, which may hold a URL or a secret."""
    code, status = code_of(error), status_of(error)
    happened = (
        code if not status else f"status {status}" if code == str(status) else f"{code}, status {status}"
    )
    return f"{happened}. {_advice(error, code, status, use)}"


def _advice(error: Exception, code: str, status: int, use: AwsUse) -> str:
    if code in _ADVICE:
        return _ADVICE[code]
    operation = str(getattr(error, "operation_name", ""))
    if operation.startswith("AssumeRole"):  # asked of another service, before the one in use
        if code in _DENIED or status == 403:
            return "Allow these credentials sts:AssumeRole on the role of the profile, and let the role trust them."
        return use.later if status else "Check the network."
    own = dict(use.codes)
    if code in own:
        return own[code]
    if code in _ANOTHER_REGION or status in (301, 307, 308):
        return f"It is in another region: set {use.region}."
    if code == _NO_REGION:
        return f"Set {use.region}."
    if code in _BUSY:
        return use.later
    if code in _MISSING or status == 404:
        return use.find
    if code in _DENIED or status == 403:
        return use.allow
    if status == 401:  # of a compatible service, or of a proxy before it
        return _CREDENTIALS
    return use.later if status else f"Check the network and {use.address}."


def _answer(error: Exception, part: str) -> dict[str, Any]:
    response: Any = getattr(error, "response", None)
    found = response.get(part) if isinstance(response, dict) else None
    return found if isinstance(found, dict) else {}

"""Clients of AWS and of compatible services, and their errors in our own words.

Credentials are found as by any AWS tool: variables, a profile, a role. Needs the extra `s3`.
"""

import re
from typing import Any

_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or give the machine a role."
_RENEW = "Renew the credentials."
_ANOTHER_REGION = "It is in another region: set `region`."
_LATER = "The next refresh tries again."
_ADDRESS = "Check the network and `endpoint_url`."

_ADVICE = {
    "NoSuchBucket": "Check `bucket`, `region` and `endpoint_url`.",
    "AccessDenied": "Allow these credentials s3:ListBucket on the bucket, s3:GetObject on its objects, and "
    "sqs:ReceiveMessage and sqs:DeleteMessage on the queue, if there is one.",
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "TokenRefreshRequired": _RENEW,
    "InvalidToken": _RENEW,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": "The secret key does not belong to the access key. " + _CREDENTIALS,
    "RequestTimeTooSkewed": "Set the clock of this machine.",
    "PermanentRedirect": _ANOTHER_REGION,
    "AuthorizationHeaderMalformed": _ANOTHER_REGION,
    "QueueDoesNotExist": "Check `queue_url` and `region`.",
    "AWS.SimpleQueueService.NonExistentQueue": "Check `queue_url` and `region`.",
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "CredentialRetrievalError": _CREDENTIALS,
    "ProfileNotFound": "AWS_PROFILE names a profile that does not exist.",
    "UnauthorizedSSOTokenError": "Log in again with `aws sso login`.",
    "SSOTokenLoadError": "Log in with `aws sso login`.",
    "NoRegionError": "Set `region` or AWS_DEFAULT_REGION.",
    "NotImplemented": "This service does not offer it: leave out the option for it.",
    "SSLError": "Its certificate is not trusted: set AWS_CA_BUNDLE to the certificate of its authority.",
}
_REFUSED_CREDENTIALS = frozenset(
    code for code, advice in _ADVICE.items() if advice in (_RENEW, _CREDENTIALS) or "secret key" in advice
) | {"RequestTimeTooSkewed"}
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


def build_client(
    service: str, *, endpoint_url: str | None, region: str | None, timeout_seconds: float, connections: int
) -> Any:
    """Return a thread-safe client with timeouts.

    Raises:
        one of `aws_errors`: a missing profile or region.
    """
    import boto3.session
    from botocore.config import Config

    # A new session: the default one keeps credentials for the lifetime of the process.
    session = boto3.session.Session(region_name=region)
    config = Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=connections,
        # Bodies are read in pieces under a deadline, which excludes checksums. Their length is compared.
        response_checksum_validation="when_required",
    )
    client: Any = session.client(service, endpoint_url=endpoint_url, config=config)
    return client


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
    if code in _REFUSED_CREDENTIALS or code in _BUSY or code == "NoSuchBucket":
        return True
    return not 400 <= status < 500 or status in (408, 429)


def is_lasting(error: Exception) -> bool:
    """Return whether an error stays until a person acts: refused credentials, a missing bucket, a wrong region."""
    code = code_of(error)
    return (code in _ADVICE and code not in _BUSY) or status_of(error) in (401, 403, 404)


def in_words(error: Exception) -> str:
    """Return the error and advice. Without the error's own message, which may hold a URL or a secret."""
    code, status = code_of(error), status_of(error)
    happened = (
        code if not status else f"status {status}" if code == str(status) else f"{code}, status {status}"
    )
    if code in _ADVICE:
        advice = _ADVICE[code]
    elif status in (401, 403):
        advice = _ADVICE["AccessDenied"]
    elif status == 404:
        advice = _ADVICE["NoSuchBucket"]
    elif status in (301, 307, 308):
        advice = _ANOTHER_REGION
    else:
        advice = _LATER if status else _ADDRESS
    return f"{happened}. {advice}"


def _answer(error: Exception, part: str) -> dict[str, Any]:
    response: Any = getattr(error, "response", None)
    found = response.get(part) if isinstance(response, dict) else None
    return found if isinstance(found, dict) else {}

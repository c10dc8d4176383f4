"""Clients of AWS and of compatible services, and their errors in our own words.

Credentials are found as by any AWS tool: variables, a profile, a role. Needs the extra `s3`.
"""

import re
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """How AWS is reached, with the names of dagster-aws. None: as by any AWS tool.

    Attributes:
        endpoint_url: of S3.
        verify: whether certificates are checked.
        max_attempts: of one request.
    """

    profile_name: str | None = None
    region_name: str | None = None
    endpoint_url: str | None = None
    use_unsigned_session: bool = False
    use_ssl: bool = True
    verify: bool | None = None
    max_attempts: int = 2
    aws_access_key_id: str | None = field(default=None, repr=False)
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)


AS_BY_ANY_TOOL = AwsAccess()


def build_client(
    service: str,
    *,
    endpoint_url: str | None,
    region: str | None,
    timeout_seconds: float,
    connections: int,
    access: AwsAccess = AS_BY_ANY_TOOL,
) -> Any:
    """Return a thread-safe client with timeouts.

    Args:
        endpoint_url, region: before those of `access`.

    Raises:
        one of `aws_errors`: a missing profile or region.
    """
    import boto3.session
    from botocore import UNSIGNED
    from botocore.config import Config

    # A new session: the default one keeps credentials for the lifetime of the process.
    session = boto3.session.Session(
        access.aws_access_key_id,
        access.aws_secret_access_key,
        access.aws_session_token,
        region_name=region or access.region_name,
        profile_name=access.profile_name,
    )
    config = Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": access.max_attempts},
        signature_version=UNSIGNED if access.use_unsigned_session else None,
        max_pool_connections=connections,
        # Bodies are read in pieces under a deadline, which excludes checksums. Their length is compared.
        response_checksum_validation="when_required",
    )
    endpoint = endpoint_url or (access.endpoint_url if service == "s3" else None)
    client: Any = session.client(
        service, endpoint_url=endpoint, config=config, use_ssl=access.use_ssl, verify=access.verify
    )
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

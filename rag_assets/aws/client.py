"""Clients of AWS and of compatible services.

Credentials are found as by any AWS tool: variables, a profile, a role. Needs the extra `s3`.
"""

from dataclasses import dataclass, field
from typing import Any


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
        one of `rag_assets.aws.errors.aws_errors`: a missing profile or region.
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

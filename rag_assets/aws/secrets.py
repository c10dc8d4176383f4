"""Secrets in AWS Secrets Manager and in the Parameter Store of Systems Manager, fetched when they are used.

`<NAME>_AWS_SECRET` is the name or ARN of a secret, with `#key` for one key of a JSON object. `<NAME>_AWS_PARAMETER` is the name
of a parameter. Credentials and region are found as by any AWS tool.
"""

import json
import time
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import Any

from rag_assets.aws.client import build_client
from rag_assets.aws.errors import (
    READING_A_PARAMETER,
    READING_A_SECRET,
    aws_errors,
    code_of,
    in_words,
    status_of,
)
from rag_assets.errors import ConfigurationError, SecretUnavailable
from rag_assets.secret_values import remember, without_secrets

SECRET_SUFFIX = "_AWS_SECRET"  # noqa: S105 - the end of a name
PARAMETER_SUFFIX = "_AWS_PARAMETER"
_KEPT_SECONDS = 300.0
"""A rotated secret is known after this time. Sensors would otherwise ask twice a minute."""
_TIMEOUT_SECONDS = 10.0
_kept: dict["AwsSecret", tuple[str, float]] = {}
_lock = Lock()


@dataclass(frozen=True, slots=True)
class AwsSecret:
    """The place of a secret.

    Attributes:
        variable: the variable with the reference, such as `OPENAI_API_KEY_AWS_SECRET`.
        reference: its value.
    """

    variable: str
    reference: str

    @property
    def place(self) -> str:
        """The place in words, for people. It holds no secret."""
        kind = "parameter" if self.variable.endswith(PARAMETER_SUFFIX) else "secret"
        return without_secrets(f"AWS {kind} {self.reference}")

    def fetch(self) -> str:
        """Return the secret, at most some minutes old.

        Raises:
            ConfigurationError: it does not exist, access is denied, or it has no such key.
            SecretUnavailable: AWS does not answer.
        """
        with _lock:
            value, at = _kept.get(self, ("", 0.0))
            if not value or time.monotonic() - at > _KEPT_SECONDS:
                value = self._ask()
                _kept[self] = value, time.monotonic()
            return value

    def _ask(self) -> str:
        if find_spec("boto3") is None:
            raise ConfigurationError(
                f"{self.variable}: boto3 is not installed. Install it with: pip install 'rag-assets[s3]'"
            )
        is_parameter = self.variable.endswith(PARAMETER_SUFFIX)
        use = READING_A_PARAMETER if is_parameter else READING_A_SECRET
        try:
            if is_parameter:
                answer = _client("ssm").get_parameter(Name=self.reference, WithDecryption=True)
                value: Any = answer["Parameter"]["Value"]
            else:
                name, _, key = self.reference.partition("#")
                answer = _client("secretsmanager").get_secret_value(SecretId=name)
                value = self._value_of(key, answer.get("SecretString"))
        except aws_errors() as error:
            status, problem = status_of(error), in_words(error, use)
            if 400 <= status < 500 and status not in (408, 429) and "Throttling" not in code_of(error):
                raise ConfigurationError(f"{self.variable}: {problem}") from None
            raise SecretUnavailable(f"{self.variable}: {self.place} cannot be read: {problem}") from None
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"{self.variable}: {self.place} is empty, or is no text")
        remember(value)
        return value

    def _value_of(self, key: str, text: Any) -> Any:
        if not key:
            return text
        try:
            content = json.loads(text)
        except (TypeError, ValueError):
            content = None
        if not isinstance(content, dict):
            raise ConfigurationError(
                f"{self.variable}: the secret is no JSON object, so it has no key `{key}`. Leave out `#{key}`"
            )
        if key not in content:
            raise ConfigurationError(f"{self.variable}: the JSON object has no key `{key}`")
        return content[key]


def _client(service: str) -> Any:
    return build_client(
        service, endpoint_url=None, region=None, timeout_seconds=_TIMEOUT_SECONDS, connections=1
    )

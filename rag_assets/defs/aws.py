"""AWS as Dagster's users configure it: dagster-aws's `S3Resource`, a part of the resource `knowledge_base`.

Loaded only if a bucket is among the sources.
"""

from dataclasses import fields

from dagster_aws.s3 import S3Resource

from rag_assets.aws.client import AS_BY_ANY_TOOL, AwsAccess
from rag_assets.defs.resources import KnowledgeBaseResource


class KnowledgeBaseOnAws(KnowledgeBaseResource):
    """The knowledge base, with `s3` for its buckets: profile, endpoint, region.

    The source makes its clients with these values, and with its own time limits, which `S3Resource` does not have.
    """

    s3: S3Resource

    def aws_access(self) -> AwsAccess:
        return AwsAccess(**{one.name: getattr(self.s3, one.name) for one in fields(AwsAccess)})


def knowledge_base_on_aws() -> KnowledgeBaseOnAws:
    """Return the resource with the defaults of commands: credentials, profile and region as by any AWS tool."""
    return KnowledgeBaseOnAws(s3=S3Resource(max_attempts=AS_BY_ANY_TOOL.max_attempts))

"""The sources of the settings, with everything that they need from their knowledge base."""

from collections.abc import Callable
from pathlib import Path

from rag_assets.aws.client import AwsAccess
from rag_assets.environment import read_environment
from rag_assets.settings import Settings
from rag_assets.sources.base import IdentifiesUrls, Source, UsesAws, UsesFolder
from rag_assets.sources.declarations import build_sources
from rag_assets.sources.state_folder import require_separate


def configured_sources(
    settings: Settings,
    folder_of: Callable[[str], Path],
    knowledge_base_id: Callable[[], str],
    aws_access: AwsAccess | None = None,
) -> list[Source]:
    """Return the sources to read.

    Args:
        folder_of: name of a source -> the folder for its notes.
        knowledge_base_id: key for secrets in the ids of documents, "" if there is none yet.
        aws_access: from Dagster's resource. None: as by any AWS tool.

    Raises:
        ConfigurationError: an unknown name, an invalid option, or a state folder among the documents.
    """
    # The Launchpad can set the documents folder too, so the environment alone is not enough.
    environment = read_environment().variables | {"RAG_DOCUMENTS_DIR": str(settings.documents_dir)}
    sources = build_sources(settings.sources, settings.sources_file, environment, settings.home)
    require_separate(settings.state_dir, sources)
    for source in sources:
        if isinstance(source, UsesFolder):
            source.use_folder(folder_of(source.name))
        if aws_access is not None and isinstance(source, UsesAws):
            source.use_aws(aws_access)
        if isinstance(source, IdentifiesUrls):
            source.use_key(knowledge_base_id)
    return sources

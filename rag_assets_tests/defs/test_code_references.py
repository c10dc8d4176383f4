from pathlib import Path

from rag_assets.definitions import build_definitions
from rag_assets.settings import load_settings


def test_every_asset_links_to_its_own_file() -> None:
    for asset in build_definitions(load_settings()).resolve_asset_graph().assets_defs:
        for key, metadata in asset.metadata_by_key.items():
            references = metadata["dagster/code_references"].code_references
            assert [Path(one.file_path).stem for one in references] == [key.to_user_string()]

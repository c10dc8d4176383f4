"""The file and line of each asset, which the UI opens in an editor."""

import warnings
from collections.abc import Sequence

import dagster as dg


def with_code_references(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets with links to their code. Without the sources, such as in a zipped package, without links."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        try:
            referenced = dg.with_source_code_references(assets)
        except OSError:
            return list(assets)
    return [asset for asset in referenced if isinstance(asset, dg.AssetsDefinition)]

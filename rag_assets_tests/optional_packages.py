"""Packages that only some users install: without one its tests are skipped, and fail where `CI` is set."""

import importlib
import os

import pytest


def require(*modules: str) -> None:
    """Skip the module that calls this if one of these cannot be imported.

    Called before what needs them is imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise  # it is there, and broken
            if os.environ.get("CI"):
                pytest.fail(f"{module} is not installed", pytrace=False)
            pytest.skip(f"{module} is not installed", allow_module_level=True)

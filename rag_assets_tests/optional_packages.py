"""Optional packages. Without one its tests are skipped, or fail if `CI` is set."""

import importlib
import os
from importlib.util import find_spec

import pytest


def require(*modules: str) -> None:
    """Skip the calling module, or the test of a calling fixture, if one of these cannot be imported.

    Call this before importing code that needs them.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise  # installed, but broken
            if os.environ.get("CI"):
                pytest.fail(f"{module} is not installed", pytrace=False)
            pytest.skip(f"{module} is not installed", allow_module_level=True)


def require_unimported(*modules: str) -> None:
    """Do the same without importing them: a program of its own does, and importing them here would take seconds."""
    for module in modules:
        if find_spec(module) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{module} is not installed", pytrace=False)
            pytest.skip(f"{module} is not installed", allow_module_level=True)

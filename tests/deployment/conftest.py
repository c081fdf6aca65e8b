"""Fixtures of the deployments."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go: below ``.demo``, or where SCREENSHOTS says."""
    folder = ROOT / os.environ.get("SCREENSHOTS", ".demo/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""The project's Celery app: ``celeryconfig.example.py`` as it is."""

import importlib.util
import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


def _example() -> object:
    """The example, which has a dot in its name and so can't be imported by it."""
    path = Path(__file__).parents[3] / "celeryconfig.example.py"
    spec = importlib.util.spec_from_file_location("celeryconfig", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


app = Celery("project")
app.config_from_object(_example())

"""The Celery app of the project that the tests run in: ``celeryconfig.example.py`` as it is."""

import importlib.util
import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

_path = Path(__file__).parent.parent / "celeryconfig.example.py"
_spec = importlib.util.spec_from_file_location("celeryconfig_example", _path)
config = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(config)

app = Celery("tests")
app.config_from_object(config)

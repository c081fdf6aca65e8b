"""Settings of the worker processes that tests start: the tests' database, and overrides."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["DOH_TEST_DATABASE"]
globals().update(json.loads(os.environ.get("DOH_TEST_SETTINGS", "{}")))

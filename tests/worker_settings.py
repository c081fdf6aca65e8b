"""Settings of the worker processes that tests start: the tests' database, and overrides."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

# Receivers of tests fail on purpose; nobody waits half a minute for a probe.
HOOK_CIRCUIT_BREAKER = {"pause": 1}
DATABASES["default"]["NAME"] = os.environ["DOH_TEST_DATABASE"]
globals().update(json.loads(os.environ.get("DOH_TEST_SETTINGS", "{}")))

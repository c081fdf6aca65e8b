"""A worker that may open few files sends less at once, and says so."""

import subprocess
import sys

import pytest

ASK = """
import logging, resource, sys
import django
django.setup()
from doh_tasks.pump.files import fitting
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logging.basicConfig(format="%(message)s")
print(fitting(200), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("limits", "found", "warned"),
    [
        pytest.param((1_000, 1_000), "200 1000", False, id="enough"),
        pytest.param((256, 1_000), "200 500", False, id="the soft limit is raised"),
        pytest.param((256, 300), "100 300", True, id="the hard limit is in the way"),
    ],
)
def test_what_is_in_the_air_fits_into_the_files_that_may_be_open(limits, found, warned):
    done = subprocess.run(
        [sys.executable, "-c", ASK, *map(str, limits)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == found
    assert ("Raise the limit" in done.stderr) is warned

"""A health check over HTTP: ``python healthy.py URL`` ends with 0 if the answer is a 2xx."""

import sys
from urllib.error import URLError
from urllib.request import urlopen

TIMEOUT = 5

if __name__ == "__main__":
    try:
        urlopen(sys.argv[1], timeout=TIMEOUT).close()
    except (URLError, OSError) as error:
        raise SystemExit(str(error)) from error

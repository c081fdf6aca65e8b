"""Whether a worker lives: ``python alive.py [SECONDS]`` ends with 0 if it does.

It does if it touched HOOK_HEARTBEAT_PATH within so many seconds (120). It also passes for alive
while its broker does not answer: nobody could be heard then, and a restart would not bring it back.
"""

import os
import sys
import time
from pathlib import Path

TIMEOUT = 5


def was_heard(path: Path, seconds: float) -> bool:
    """Whether the file was touched so lately."""
    return path.exists() and time.time() - path.stat().st_mtime < seconds


def broker_answers() -> bool:
    """Whether anybody could be heard."""
    from kombu import Connection

    url = os.environ.get("CELERY_BROKER_URL") or os.environ["REDIS_URL"]
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    options = {} if url.startswith(("amqp", "pyamqp")) else options
    try:
        with Connection(url, connect_timeout=TIMEOUT, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except Exception as error:  # any broker, any client, any fault
        print(f"the broker does not answer: {type(error).__name__}")
        return False
    return True


if __name__ == "__main__":
    file, limit = Path(os.environ["HOOK_HEARTBEAT_PATH"]), float((*sys.argv[1:], 120)[0])
    if not was_heard(file, limit) and broker_answers():
        raise SystemExit(f"{file} was not touched within {limit:g} s, and the broker is there")

"""Flower for a deployment of django-object-hooks: behind a login, looking and not touching.

``celery -A project flower --conf=/path/to/flowerconfig.py``, with one of

    FLOWER_BASIC_AUTH_FILE  path of a file that holds ``name:password``, one a line
    FLOWER_BASIC_AUTH       ``name:password``, for a machine of your own
    FLOWER_AUTH             regular expression of mail addresses, with Flower's OAuth 2 options

``FLOWER_READ_ONLY=0`` gives the buttons and the JSON API back; ``FLOWER_ENABLE_EVENTS=1`` has
Flower turn task events on at every worker. The README beside this file tells what that costs.
"""

import os
import re
from pathlib import Path
from typing import Any

from flower.urls import handlers
from flower.utils import strtobool
from flower.views.monitor import Metrics
from tornado.web import authenticated

from doh.names import COLLECT, DELIVER_BATCH, FINISH

#: Arguments that are shown, with words around the ids; all others are not.
_SHOWN = {DELIVER_BATCH: "batch {}, epoch {}"}
#: These are for whatever is due; what they are called with only names a doorbell.
_OF_NOTHING = (COLLECT, FINISH)


def _logins() -> list[str]:
    path = os.environ.get("FLOWER_BASIC_AUTH_FILE")
    text = Path(path).read_text() if path else os.environ.get("FLOWER_BASIC_AUTH", "")
    logins = [login.strip() for login in re.split(r"[\n,]", text) if login.strip()]
    if not logins and not os.environ.get("FLOWER_AUTH"):
        raise SystemExit(
            "Flower would be open to everybody: set FLOWER_BASIC_AUTH_FILE to the path of a file"
            " with name:password, or FLOWER_AUTH."
        )
    wrong = sum(":" not in login for login in logins)
    if wrong:
        raise SystemExit(f"{wrong} of Flower's logins are not written as name:password.")
    return logins


def _is_on(name: str, default: str) -> bool:
    return bool(strtobool(os.environ.get(name, default)))


def _hide(task: Any) -> Any:
    """Ids instead of arguments: another project's task may hold what nobody should read here."""
    shown = _SHOWN.get(task.name)
    ids = re.findall(r"\d+", task.args or "")
    if task.name in _OF_NOTHING:
        task.args = "()"
    elif shown and len(ids) == shown.count("{}"):
        task.args = shown.format(*ids)
    elif task.args not in (None, "()", "[]"):
        task.args = "(hidden)"
    if task.kwargs not in (None, "{}"):
        task.kwargs = "(hidden)"
    return task


class _Metrics(Metrics):
    """Flower serves its metrics to anybody; here they take the same login as the pages."""

    @authenticated
    async def get(self) -> None:
        await super().get()


def _open(handler: Any) -> bool:
    is_api = isinstance(handler, tuple) and handler[0].startswith("/api/")
    return not (is_api and read_only)


def _guarded(handler: Any) -> Any:
    is_metrics = isinstance(handler, tuple) and handler[1] is Metrics
    return (handler[0], _Metrics) if is_metrics else handler


basic_auth = _logins()
read_only = _is_on("FLOWER_READ_ONLY", "1")
enable_events = _is_on("FLOWER_ENABLE_EVENTS", "0")
format_task = _hide
tasks_columns = "name,args,state,received,runtime,worker"
# A restart keeps the pages' numbers small; what was owed and delivered is in the Django admin.
persistent = False
max_tasks = 10_000
# A container that is gone is no worker that is down.
purge_offline_workers = 300

handlers[:] = [_guarded(handler) for handler in handlers if _open(handler)]

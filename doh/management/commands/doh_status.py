"""``manage.py doh_status``: one screen on how the deliveries are doing."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from doh.deliverers import resolve
from doh.journal import get_journal
from doh.status import (
    Broker,
    Circuits,
    Detail,
    Finding,
    Level,
    Limits,
    Vitals,
    judge,
    read_detail,
    read_vitals,
    survey_broker,
    survey_circuits,
    worst,
)
from doh.status.page import lay_out

_CLEAR = "\033[2J\033[H"


@dataclass(frozen=True, slots=True)
class _Status:
    vitals: Vitals
    detail: Detail
    broker: Broker | None
    circuits: Circuits | None
    findings: list[Finding]


class Command(BaseCommand):
    """Tell how the deliveries are doing."""

    help = (
        "Tell how the deliveries are doing: what is owed and for how long, rates, failing and"
        " disabled hooks, dead letters, open circuits, broker and sweep. The exit status is 0 if"
        " all is well, 1 for a warning, 2 if something is critical."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        normal = Limits()
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument(
            "--watch", type=float, metavar="SECONDS", help="Look again so often, until Ctrl-C."
        )
        for name, default, what in (
            ("--warn-age", normal.warn_age, "Warn if something owed waits so long"),
            ("--crit-age", normal.crit_age, "Critical if something owed waits so long"),
            ("--warn-sweep", normal.warn_sweep, "Warn if the last sweep is so long ago"),
            ("--crit-sweep", normal.crit_sweep, "Critical if the last sweep is so long ago"),
        ):
            parser.add_argument(
                name, type=float, default=default, metavar="SECONDS", help=f"{what} ({default:g})."
            )

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the status once, or again and again; ends with its level."""
        names = ("warn_age", "crit_age", "warn_sweep", "crit_sweep")
        limits = Limits(**{name: options[name] for name in names})
        level = self._print(limits, options["json"])
        try:
            while options["watch"] is not None:
                time.sleep(options["watch"])
                close_old_connections()
                if not options["json"]:
                    self.stdout.write(_CLEAR, ending="")
                level = self._print(limits, options["json"])
        except KeyboardInterrupt:
            pass
        if level:
            sys.exit(level)

    def _print(self, limits: Limits, as_json: bool) -> Level:
        status = _read(limits)
        if as_json:
            self.stdout.write(json.dumps(_as_json(status)))
        else:
            self.stdout.write("\n".join(_lines(status)))
        return worst(status.findings)


def _read(limits: Limits) -> _Status:
    journal = get_journal()
    broker, circuits = (survey_broker(), survey_circuits()) if _queued() else (None, None)
    try:
        vitals, detail = read_vitals(journal), read_detail(journal)
    except DatabaseError as error:
        text = f"The ledger can't be read: {str(error).strip()}. Is manage.py migrate done?"
        raise CommandError(text, returncode=Level.CRITICAL) from error
    return _Status(vitals, detail, broker, circuits, judge(vitals, limits, broker))


def _lines(status: _Status) -> Iterator[str]:
    return lay_out(status.vitals, status.detail, status.broker, status.circuits, status.findings)


def _queued() -> bool:
    return resolve.collection().queued or resolve.element().queued


def _as_json(status: _Status) -> dict[str, Any]:
    found = asdict(status)
    found["circuits"] = None if status.circuits is None else _circuits_as_json(status.circuits)
    found["findings"] = [
        {"level": one.level.name.lower(), "text": one.text} for one in status.findings
    ]
    return {"level": worst(status.findings).name.lower(), **found}


def _circuits_as_json(circuits: Circuits) -> dict[str, Any]:
    hosts = [{"state": one.state, **one._asdict()} for one in circuits.hosts]
    return {"hosts": hosts, "error": circuits.error}

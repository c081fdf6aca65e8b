"""``manage.py doh_metrics``: the one process that observes what the ledger and the broker hold."""

from argparse import ArgumentParser
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections

from doh.conf import address_of
from doh.exceptions import HookConfigurationError
from doh.status import import_workers_modules


class Command(BaseCommand):
    """Offer gauges of what is owed, and for how long."""

    help = (
        "Offer the gauges that cost a query (what is owed and for how long, queues, dead letters,"
        " the last sweep). Run one of it beside any number of workers, whose own endpoints are"
        " for what they count themselves. Without --listen the gauges go to the OpenTelemetry SDK"
        " that the project has set up."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the option."""
        parser.add_argument(
            "--listen", metavar="ADDRESS:PORT", help="Serve Prometheus here: 127.0.0.1:9808"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Serve until interrupted."""
        import_workers_modules()
        try:
            if options["listen"] is None:
                _observe_for_the_sdk()
            else:
                self._serve(options["listen"])
        except ImportError as error:
            raise CommandError(f"{error}: pip install django-object-hooks[otel]") from error
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _serve(self, listen: str) -> None:
        from doh.gauges import observe
        from doh.telemetry.prometheus import prometheus_meters, serve

        try:
            host, port = address_of("--listen", listen)
        except HookConfigurationError as error:
            raise CommandError(str(error)) from error
        observe(prometheus_meters().get_meter("doh"))
        self.stdout.write(f"Metrics at http://{listen}/metrics; Ctrl-C ends it.")
        serve(host, port, close_old_connections)


def _observe_for_the_sdk() -> None:
    from opentelemetry.metrics import get_meter

    from doh.gauges import observe

    observe(get_meter("doh"))
    Event().wait()

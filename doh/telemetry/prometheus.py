"""An endpoint for Prometheus: a reader of OpenTelemetry's, served over HTTP."""

from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import make_wsgi_app, start_http_server

#: Seconds that a scraper may take to ask.
_PATIENCE: Final = 10


def prometheus_meters() -> MeterProvider:
    """A provider of meters whose readings `serve` and `serve_beside` show."""
    return MeterProvider([PrometheusMetricReader(disable_target_info=True)])


def serve_beside(host: str, port: int) -> None:
    """Serve from a thread of its own; raises OSError if the address can't be had."""
    start_http_server(port, host)


def serve(host: str, port: int, before: Callable[[], None]) -> None:
    """Serve until interrupted, one scrape after the other in this thread, ``before`` each."""
    show: Any = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        before()
        found: Iterable[bytes] = show(environ, start_response)
        return found

    with make_server(host, port, application, handler_class=_Handler) as server:
        server.serve_forever()


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - its name
        """A scrape every few seconds is no news."""

"""How the deliveries are doing: read from ledger, broker and limits, judged, and laid out."""

from doh.status.broker import Broker, import_workers_modules, survey_broker
from doh.status.circuits import Circuit, Circuits, survey_circuits
from doh.status.judge import Finding, Level, Limits, judge, worst
from doh.status.ledger import Detail, Vitals, read_detail, read_vitals

__all__ = [
    "Broker",
    "Circuit",
    "Circuits",
    "Detail",
    "Finding",
    "Level",
    "Limits",
    "Vitals",
    "import_workers_modules",
    "judge",
    "read_detail",
    "read_vitals",
    "survey_broker",
    "survey_circuits",
    "worst",
]

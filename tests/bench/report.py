"""Tell what was measured: a table, JSON, and plots."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
from django.db import connection
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure

PACKAGES = (
    "django-object-hooks",
    "Django",
    "celery",
    "kombu",
    "pycurl",
    "psycopg",
    "django-webhook",
)

mpl.use("Agg")


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        server = cursor.fetchone()[0]
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = {name: version(name) for name in PACKAGES}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(model)} x {model[0]}, {memory:.0f} GiB, Linux {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": str(server),
        **versions,
    }


def table(figures: list[Figure], console: Console) -> None:
    """Print what was measured."""
    grid = Table("goal", "work", "measured", "yardstick", "share", "wanted", "")
    for one in figures:
        beside = f"{one.yardstick.text(one.unit)}: {one.beside}" if one.yardstick else one.beside
        mark = {True: "[green]met", False: "[red]not met", None: ""}[one.met]
        grid.add_row(
            one.goal, one.what, one.ours.text(one.unit), beside, _share(one), one.want, mark
        )
    console.print(grid)


def write_json(path: Path, figures: list[Figure], about: dict[str, Any]) -> None:
    """Write everything that was measured, every single run of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"about": about, "figures": [one.plain() for one in figures]}
    path.write_text(json.dumps(content, indent=1) + "\n")


def markdown(figures: list[Figure]) -> str:
    """The table for the docs."""
    lines = [
        "| | work | measured | yardstick | share | wanted | |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        beside = f"{one.yardstick.text(one.unit)}: {one.beside}" if one.yardstick else one.beside
        mark = {True: "met", False: "**not met**", None: ""}[one.met]
        cells = (one.goal, one.what, one.ours.text(one.unit), beside, _share(one), one.want, mark)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def pivot(figures: list[Figure]) -> str:
    """A table of figures named "row: column", for the docs."""
    rows: dict[str, dict[str, str]] = {}
    for one in figures:
        row, _, column = one.what.rpartition(": ")
        rows.setdefault(row, {})[column] = one.ours.text(one.unit).strip()
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [f"| | {' | '.join(columns)} |", f"|---{'|---' * len(columns)}|"]
    for row, cells in rows.items():
        lines.append(f"| {row} | {' | '.join(cells.get(column, '') for column in columns)} |")
    return "\n".join(lines) + "\n"


def _share(one: Figure) -> str:
    if one.share is None:
        return ""
    return f"{one.share:.0%}" if one.share < 2 else f"{one.share:,.1f} x"

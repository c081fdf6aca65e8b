"""Writes what one run of the benchmark found into the docs: tables, plots, the sizing.

``python -m tests.bench.document .demo/bench.json`` writes between the marks in docs/performance.md
and docs/scaling.md, and renews docs/img. ``make bench-docs`` measures first. What a run did not
measure stays as it was, with its date.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bench import plots, report
from tests.bench.figures import Figure
from tests.bench.simulate import Costs, tell

DOCS: Final = Path(__file__).parents[2] / "docs"
_TABLES: Final[dict[str, Callable[[list[Figure]], str]]] = {
    "phases": report.pivot,
    "pump": report.pivot,
    "pools": report.pivot,
    "prune": report.markdown,
    "telemetry": report.pivot,
}
#: Rates that docs/scaling.md sizes an installation for.
_RATES: Final = (10_000, 1_000_000)


def document(found: Path, docs: Path = DOCS) -> None:
    """Write the docs of one run, in place, or into a copy of them elsewhere."""
    if docs != DOCS:
        shutil.copytree(DOCS, docs, dirs_exist_ok=True)
    kept = docs / "img" / "performance.json"
    content = _with_earlier(json.loads(found.read_text()), json.loads(kept.read_text()))
    figures = [Figure.from_plain(one) for one in content["figures"]]
    plots.draw(docs / "img", figures)
    kept.write_text(json.dumps(content, indent=1) + "\n")
    _write(docs / "performance.md", _performance(content["about"], figures))
    _write(docs / "scaling.md", _scaling(Costs.measured(kept)))


def _with_earlier(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """What a run found, and of earlier ones what it did not measure again."""
    again = new["about"]["seconds"].keys()
    left = [one for one in old["figures"] if one["goal"] not in again]
    taken = dict.fromkeys((one["goal"] for one in left), old["about"]["date"])
    taken |= {goal: when for goal, when in old["about"].get("earlier", {}).items() if goal in taken}
    there = old["about"]["machine"]
    if there != new["about"]["machine"]:
        taken = {goal: _elsewhere(when, there) for goal, when in taken.items()}
    figures = sorted([*new["figures"], *left], key=lambda one: _place(one["goal"]))
    return {"about": {**new["about"], "earlier": taken}, "figures": figures}


def _elsewhere(when: str, machine: str) -> str:
    """A date with the machine of that day, unless it names one already."""
    return when if " " in when else f"{when} (on {machine})"


def _place(goal: str) -> tuple[int, str]:
    """P2 comes before P10, and both before what is no goal."""
    return (int(goal[1:]), "") if goal[1:].isdigit() else (1_000, goal)


def _performance(about: dict[str, Any], figures: list[Figure]) -> dict[str, str]:
    goals = [one for one in figures if one.goal not in _TABLES]
    found = {"taken": _taken(about), "goals": report.markdown(goals)}
    for name, table in _TABLES.items():
        found[name] = table([one for one in figures if one.goal == name])
    return found


def _taken(about: dict[str, Any]) -> str:
    packages = ", ".join(
        f"{name} {about[name]}" for name in ("Python", "PostgreSQL", *report.PACKAGES[1:])
    )
    minutes = sum(about["seconds"].values()) / 60
    busy = " and ".join(f"{share:.0f} % {when} it" for when, share in about["busy"].items())
    return (
        f"Taken on {about['date']} on {about['machine']}; {packages}. The run took {minutes:.0f}"
        f" minutes; the machine was busy to {busy}.{_earlier(about['earlier'])}\n"
    )


def _earlier(taken: dict[str, str]) -> str:
    """Which figures are of which earlier run, and of which machine if not of this one."""
    by_run: dict[str, list[str]] = {}
    for goal, when in taken.items():
        by_run.setdefault(when, []).append(goal)
    return "".join(f" Of {when}: {', '.join(goals)}." for when, goals in sorted(by_run.items()))


def _scaling(costs: Costs) -> dict[str, str]:
    row, wal = (number / 1000 for number in (costs.delivery_bytes, costs.wal_bytes))
    rows = (
        ("element process: read hooks, sign, POST, write", f"{costs.element:.0f} µs", "deliveries"),
        ("collection process: find hooks, write batches", f"{costs.collection:.0f} µs",
         "deliveries"),
        ("PostgreSQL: one row and its index entries", f"{costs.database:.0f} µs", "deliveries"),
        ("Redis: one message for 2,000 deliveries", f"{costs.broker:.1f} µs", "batches"),
        ("on disk: one row of the ledger with its indexes", f"{row:.1f} kB, {wal:.1f} kB of WAL",
         "deliveries"),
    )  # fmt: skip
    lines = [
        "| | costs | grows with |",
        "|---|---|---|",
        *(f"| {' | '.join(one)} |" for one in rows),
    ]
    found = {"costs": "\n".join(lines) + "\n"}
    for rate in _RATES:
        found[f"{rate:,}"] = f"```\n{tell(rate, costs)}\n```\n"
    return found


def _write(path: Path, parts: dict[str, str]) -> None:
    """Replace what stands between the marks of each part."""
    text = path.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- measured: {name} -->\n", "<!-- end of it -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise SystemExit(f"{path} has no place for {name!r}")
        text = f"{before}{begin}{part}{end}{after}"
    path.write_text(text)


def main() -> None:
    """Write the docs of the run whose file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("found", type=Path)
    parser.add_argument("docs", type=Path, nargs="?", default=DOCS)
    options = parser.parse_args()
    document(options.found, options.docs)


if __name__ == "__main__":
    main()

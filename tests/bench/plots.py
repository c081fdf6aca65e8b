"""Four plots: throughput, the cost of a save, latency, memory."""

import re
from pathlib import Path

import matplotlib.pyplot as plt

from tests.bench.figures import Figure, Series


def draw(folder: Path, figures: list[Figure]) -> None:
    """Draw whatever there are figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    # The same figures make the same file.
    plt.rcParams["svg.hashsalt"] = "doh"
    _by_hooks(
        folder / "throughput.svg", figures, r"^([\d,]+) hooks: rate$",
        "One event: POSTs per second, end to end", "POST/s",
    )  # fmt: skip
    _by_hooks(
        folder / "memory.svg", figures, r"^([\d,]+) hooks: largest worker process$",
        "One event: memory of the largest worker process", "MB",
    )  # fmt: skip
    _by_hooks(
        folder / "save.svg", figures, r"^save\(\) with ([\d,]+) hooks?, until COMMIT: beyond",
        "What save() pays beyond a plain save, until COMMIT", "ms",
    )  # fmt: skip
    _latency(folder / "latency.svg", figures)


def _by_hooks(path: Path, figures: list[Figure], pattern: str, title: str, unit: str) -> None:
    points: list[tuple[int, Series]] = []
    for one in figures:
        found = re.match(pattern, one.what)
        if found:
            points.append((int(found[1].replace(",", "")), one.ours))
    if not points:
        return
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    numbers = [number for number, _ in points]
    axes.plot(numbers, [series.median for _, series in points], "o-")
    low, high = zip(*((min(s.values), max(s.values)) for _, s in points), strict=True)
    axes.fill_between(numbers, low, high, alpha=0.2)
    axes.set(xscale="log", xlabel="hooks", ylabel=unit, title=title, ylim=(0, None))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _latency(path: Path, figures: list[Figure]) -> None:
    found = {one.what: one for one in figures}
    one = found.get("save to arrival, idle system")
    here = found.get("save to arrival, delivered where it was collected")
    if one is None or here is None:
        return
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for name, series in (
        ("ours", one.ours),
        ("ours, one worker", here.ours),
        (one.beside, one.yardstick),
    ):
        if series is not None:
            ordered = sorted(series.values)
            shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
            axes.plot(ordered, shares, label=name)
    title = f"From save() to arrival, idle, {len(one.ours.values)} times"
    axes.set(xlabel="ms", ylabel="% arrived", title=title, xlim=(0, None))
    axes.legend(loc="lower left")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)

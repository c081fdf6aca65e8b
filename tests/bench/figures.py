"""What was measured: a median with its extremes, beside its yardstick."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Series:
    """One measurement, several times."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Series":
        """From whatever order they came in."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def at(self, share: float) -> float:
        """The value below which such a share of them lies."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def text(self, unit: str) -> str:
        """Median, extremes and how many."""
        low, high = _short(min(self.values)), _short(max(self.values))
        spread = "" if len(self.values) == 1 else f" ({low} to {high}, {len(self.values)} runs)"
        return f"{_short(self.median)} {unit}{spread}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    ``share`` is ours divided by the yardstick; ``met`` tells whether the goal is, None where the
    line is there for comparison only.
    """

    goal: str
    what: str
    unit: str
    ours: Series
    beside: str = ""
    yardstick: Series | None = None
    want: str = ""
    met: bool | None = None

    @property
    def share(self) -> float | None:
        """Ours divided by the yardstick."""
        return None if self.yardstick is None else self.ours.median / self.yardstick.median

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"median": self.ours.median, "share": self.share}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Figure":
        """From JSON."""
        kept = {one.name: plain[one.name] for one in fields(cls)}
        beside = kept["yardstick"]
        kept["ours"] = Series.of(kept["ours"]["values"])
        kept["yardstick"] = None if beside is None else Series.of(beside["values"])
        return cls(**kept)


def at_least(
    share: float, goal: str, what: str, unit: str, ours: Series, beside: str, yardstick: Series
) -> Figure:
    """A figure that is to reach a share of its yardstick."""
    met = ours.median >= share * yardstick.median
    want = f">= {share:.0%}" if share < 2 else f">= {share:g} x"
    return Figure(goal, what, unit, ours, beside, yardstick, want, met)


def at_most(
    limit: float,
    goal: str,
    what: str,
    unit: str,
    ours: Series,
    beside: str = "",
    yardstick: Series | None = None,
) -> Figure:
    """A figure that is to stay below a limit, whatever its yardstick does."""
    met = ours.median <= limit
    return Figure(goal, what, unit, ours, beside, yardstick, f"<= {limit:g} {unit}", met)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

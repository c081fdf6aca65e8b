"""What the docs say of figures that a run did not measure again."""

import json

from tests.bench.document import DOCS, _taken, _with_earlier


def _run(date, machine, *goals, **earlier):
    about = {"date": date, "machine": machine, "seconds": dict.fromkeys(goals, 60)}
    busy = {"busy": {"before": 1, "after": 1}, "earlier": earlier}
    return {"about": about | busy, "figures": [{"goal": goal} for goal in (*goals, *earlier)]}


def _earlier_of(new, old):
    return _with_earlier(new, old)["about"]["earlier"]


def test_figures_of_another_machine_name_it():
    old = _run("2026-01-02", "1 x Slow", "P1", "P2", P3="2026-01-01")
    assert _earlier_of(_run("2026-01-03", "2 x Quick", "P1"), old) == {
        "P2": "2026-01-02 (on 1 x Slow)",
        "P3": "2026-01-01 (on 1 x Slow)",
    }


def test_figures_of_the_same_machine_have_their_date_alone():
    old = _run("2026-01-02", "1 x Slow", "P1", P3="2026-01-01")
    assert _earlier_of(_run("2026-01-03", "1 x Slow", "P1"), old) == {"P3": "2026-01-01"}


def test_a_machine_that_was_named_once_stays_named():
    old = _run("2026-01-02", "2 x Quick", "P1", P3="2026-01-01 (on 1 x Slow)")
    assert _earlier_of(_run("2026-01-03", "1 x Third", "P1"), old) == {
        "P3": "2026-01-01 (on 1 x Slow)"
    }


def test_what_was_measured_elsewhere_is_told_where_the_figures_are(monkeypatch):
    monkeypatch.setattr("tests.bench.report.PACKAGES", ("it",))
    old = _run("2026-01-02", "1 x Slow", "P1", "P2")
    about = _with_earlier(_run("2026-01-03", "2 x Quick", "P1"), old)["about"]
    told = _taken(about | {"Python": "3", "PostgreSQL": "18"})
    assert "on 2 x Quick" in told
    assert told.endswith(" Of 2026-01-02 (on 1 x Slow): P2.\n")


def test_every_goal_in_the_docs_was_measured_five_times_or_more():
    figures = json.loads((DOCS / "img" / "performance.json").read_text())["figures"]
    goals = [one for one in figures if one["goal"].startswith("P")]
    sides = [(one["what"], one[side]) for one in goals for side in ("ours", "yardstick")]
    # The slowest of a hundred are of one series of arrivals, which is told of, too.
    few = [
        what
        for what, series in sides
        if series and len(series["values"]) < 5 and not what.endswith(", 99 of 100")
    ]
    assert goals
    assert few == []

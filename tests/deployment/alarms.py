"""A real Prometheus with the real rules, in which four minutes pass in a second."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.deployment import sample

PROMETHEUS = sample.ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "doh.rules.yml"
DASHBOARD = sample.ROOT / "deploy" / "grafana" / "django-object-hooks.json"
#: How much sooner an alert fires here, and how much less of something it takes.
SOONER, LESS = 240, 60
_MILLISECONDS = {"m": 60_000, "h": 3_600_000}


def alerts() -> list[str]:
    """The names of the alerts that there are."""
    return [rule["alert"] for rule in _rules(RULES.read_text())]


def runbook_of(alert: str) -> str:
    """Where an alert sends whoever it wakes."""
    (found,) = (one for one in _rules(RULES.read_text()) if one["alert"] == alert)
    return str(found["annotations"]["runbook"])


def hurried(rules: str) -> str:
    """The rules with every duration, and every threshold of sixty and more, scaled down."""
    sooner = re.sub(
        r"\b(\d+)([mh])\b",
        lambda found: f"{int(found[1]) * _MILLISECONDS[found[2]] // SOONER}ms",
        rules,
    )
    return re.sub(r"> (\d+)\b(?!\.)", lambda found: f"> {_less(int(found[1])):g}", sooner)


def _less(threshold: int) -> float:
    return threshold / LESS if threshold >= LESS else threshold


def _rules(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def write_config(folder: Path, ports: Mapping[str, Sequence[int]]) -> Path:
    """The configuration as it is, with this run's ports by job, and in a hurry."""
    rules = folder / "rules.yml"
    rules.write_text(hurried(RULES.read_text()))
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(rules)]
    assert {job["job_name"] for job in config["scrape_configs"]} == ports.keys()
    for job in config["scrape_configs"]:
        targets = [f"127.0.0.1:{port}" for port in ports[job["job_name"]]]
        job["static_configs"] = [{"targets": targets}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _over(expression: str, interval: str) -> str:
    return expression.replace("$__rate_interval", interval)


class Alarms:
    """What Prometheus says at an address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urlopen(f"{self.address}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def firing(self, alert: str) -> list[dict[str, Any]]:
        """The alerts of a name that fire now, with labels and annotations."""
        return [
            one
            for one in self._ask("alerts")["alerts"]
            if one["labels"]["alertname"] == alert and one["state"] == "firing"
        ]

    def panel(self, title: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What a panel of the dashboard shows now: labels and values."""
        (found,) = (
            one for one in json.loads(DASHBOARD.read_text())["panels"] if one["title"] == title
        )
        shown = (
            one
            for target in found["targets"]
            for one in self._ask("query", query=_over(target["expr"], "10s"))["result"]
        )
        values = {tuple(one["metric"].items()): float(one["value"][1]) for one in shown}
        return {labels: value for labels, value in values.items() if value == value}

    def _ask(self, path: str, **query: str) -> dict[str, Any]:
        with urlopen(f"{self.address}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return dict(found["data"])

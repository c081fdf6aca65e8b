"""deploy/prometheus and deploy/grafana, by their own tools and on the sample project at work."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from services import free_port, services

from tests.deployment import sample
from tests.receiver import Receiver
from tests.workers import free_ports

PROMETHEUS = sample.ROOT / "deploy" / "prometheus"
DASHBOARD = sample.ROOT / "deploy" / "grafana" / "django-object-hooks.json"
RULES = PROMETHEUS / "doh.rules.yml"
#: What stands for the dashboard's interval here.
INTERVAL = "30s"

pytestmark = pytest.mark.timeout(400)


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[dict]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    return [expression.replace("$__rate_interval", INTERVAL) for expression in found]


def test_prometheus_accepts_its_configuration_and_the_rules_do_as_their_tests_say():
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "doh.rules.test.yml")


def test_every_alert_is_tested_and_leads_to_its_section_of_the_runbook():
    tests = yaml.safe_load((PROMETHEUS / "doh.rules.test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    for alert in alerts():
        assert alert["alert"] in fired
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (sample.ROOT / page).read_text(), re.MULTILINE)
        assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


def test_the_dashboard_is_one_that_grafana_can_place():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken
                taken.add((x, y))


@pytest.fixture
def folder() -> Iterator[Path]:
    base = sample.ROOT / ".demo"
    base.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=base, prefix="observe-") as name:
        yield Path(name)


@pytest.fixture
def prometheus(folder: Path) -> Iterator[str]:
    """Prometheus beside the sample project at work; yields its address."""
    with ExitStack() as stack:
        urls = stack.enter_context(services(folder))
        # Two, since breakers are by host and port.
        sound, failing = (stack.enter_context(Receiver()) for _ in range(2))
        commands = stack.enter_context(sample.Commands(folder))
        env = sample.environment(**urls)
        sample.django(env, "migrate", "-v", "0")
        ledger, collection, web = free_port(), free_port(), free_port()
        element = free_ports(2)
        start_project(commands, env, folder, ledger, collection, element)
        traffic = [sys.executable, "-m", "tests.deployment.traffic", sound.url(""), failing.url("")]
        path = {"PYTHONPATH": f"{sample.ROOT}:{sample.SAMPLE}"}
        commands.start("traffic", traffic, env | path, cwd=sample.ROOT)
        config = write_config(folder, ledger, [collection, element, element + 1])
        options = [
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{web}",
        ]
        commands.start("prometheus", ["prometheus", *options], env)
        commands.wait_for(lambda: is_ready(web))
        yield f"http://127.0.0.1:{web}"


def start_project(
    commands: sample.Commands, env: dict, folder: Path, ledger: int, collection: int, element: int
) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "project"]
    sends = ["-Q", "doh.element,doh.element_slow", "-P", "threads", "-c", "4"]
    for name, port, options in (
        ("collection", collection, ["-Q", "doh.collection,doh.maintenance", "-c", "1"]),
        ("element1", element, sends),
        ("element2", element + 1, sends),
    ):
        worker = [*celery, "worker", "-n", f"{name}@%h", *options, "--without-gossip"]
        own = env | {"HOOK_METRICS_LISTEN": f"127.0.0.1:{port}"}
        commands.start(name, worker, own, cwd=sample.SAMPLE)
    beat = [*celery, "beat", "-s", str(folder / "schedule")]
    commands.start("beat", beat, env, cwd=sample.SAMPLE)
    metrics = [sys.executable, "-m", "django", "doh_metrics", "--listen", f"127.0.0.1:{ledger}"]
    commands.start("metrics", metrics, env, cwd=sample.SAMPLE)


def write_config(folder: Path, ledger: int, workers: list[int]) -> Path:
    """The configuration as it is, with this run's ports, and in a hurry."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "4s", "evaluation_interval": "2s"}
    config["rule_files"] = [str(RULES)]
    ports = {"doh-ledger": [ledger], "doh-workers": workers}
    for job in config["scrape_configs"]:
        targets = [f"127.0.0.1:{port}" for port in ports.pop(job["job_name"])]
        job["static_configs"] = [{"targets": targets}]
    assert not ports
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(prometheus: str, path: str, **query: str) -> dict:
    with urlopen(f"{prometheus}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
        found = json.load(answer)
    assert found["status"] == "success"
    return dict(found["data"])


def test_every_expression_of_the_dashboard_returns_data_and_every_rule_evaluates(prometheus: str):
    def empty() -> list[str]:
        return [
            expression
            for expression in expressions()
            if not any(
                one["value"][1] != "NaN"
                for one in ask(prometheus, "query", query=expression)["result"]
            )
        ]

    sample.wait_until(lambda: not empty(), lambda: "\n".join(empty()), 180)
    groups = ask(prometheus, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {alert["alert"] for alert in alerts()}
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    firing = [rule for rule in rules if rule["state"] == "firing"]
    assert not [rule["name"] for rule in firing if rule["labels"]["severity"] == "critical"]
    targets = ask(prometheus, "targets")["activeTargets"]
    assert [target["health"] for target in targets] == ["up"] * 4

"""The overlays, built by kustomize and held against the schemas of Kubernetes."""

import re
import shutil
import subprocess
from copy import deepcopy
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from doh.wire import addresses
from doh_tasks.queues import ELEMENT_QUEUE, SLOW_QUEUE, task_queues
from tests.deployment import sample
from tests.deployment.queues import needed, queues_of

KUBERNETES = sample.ROOT / "deploy" / "kubernetes"
COMPOSE = sample.ROOT / "deploy" / "compose" / "compose.yaml"
DOCKERFILE = (sample.ROOT / "deploy" / "compose" / "Dockerfile").read_text()
SETTINGS = (sample.ROOT / "deploy" / "demo" / "project" / "settings.py").read_text()
OVERLAYS = ("small", "large")
VERSIONS = ("1.31", "1.34")
#: KEDA's own: no schema comes along, so these are written, and not checked.
UNVALIDATED = {"ScaledObject", "TriggerAuthentication"}
#: The networks that the sender refuses.
DENIED = (*addresses._DENIED_4, *addresses._DENIED_6)

Manifest = dict[str, Any]
Network = IPv4Network | IPv6Network


@cache
def build(folder: str) -> list[Manifest]:
    """What kustomize makes of an overlay."""
    tool = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    assert shutil.which(tool[0]), "Neither kustomize nor kubectl is installed; .ci/run says how."
    done = subprocess.run(
        [*tool, str(KUBERNETES / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(overlay: str, *kinds: str) -> dict[str, Manifest]:
    found = (one for one in build(f"overlays/{overlay}") if one["kind"] in kinds)
    return {one["metadata"]["name"]: one for one in found}


def container(manifest: Manifest) -> Manifest:
    (only,) = manifest["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def everything() -> list[Manifest]:
    secret = yaml.safe_load((KUBERNETES / "base" / "secret.example.yaml").read_text())
    return [secret, *build("overlays/small"), *build("overlays/large")]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str):
    for manifest in everything():
        if manifest["kind"] not in UNVALIDATED:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found():
    wrong = deepcopy(of_kind("small", "Deployment")["element"])
    container(wrong)["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_only_the_kinds_of_keda_are_not_validated():
    kinds = {one["kind"] for one in everything() if "keda.sh/" in one["apiVersion"]}
    assert kinds == UNVALIDATED


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_queue_has_a_deployment(overlay: str):
    deployments = of_kind(overlay, "Deployment").values()
    assert queues_of(container(one)["args"] for one in deployments) == needed()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_commands_are_those_that_were_rehearsed_with_compose(overlay: str):
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, manifest in of_kind(overlay, "Deployment", "Job").items():
        command = services[name]["command"]
        words = command.split() if isinstance(command, str) else command
        assert container(manifest)["args"] == words, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_process_of_a_worker_has_a_port_that_prometheus_reaches(overlay: str):
    policy = of_kind(overlay, "NetworkPolicy")["prometheus-to-metrics"]["spec"]
    (chosen,) = policy["podSelector"]["matchExpressions"]
    (rule,) = policy["ingress"]
    workers = {
        name: container(one)
        for name, one in of_kind(overlay, "Deployment").items()
        if "-Q" in container(one)["args"]
    }
    assert set(chosen["values"]) == {*workers, "metrics"}
    reached = {port["port"] for port in rule["ports"]}
    for name, worker in workers.items():
        listen = {one["name"]: one["value"] for one in worker["env"]}["HOOK_METRICS_LISTEN"]
        first = int(listen.rpartition(":")[2])
        number = processes_of(worker["args"])
        ports = {one["name"]: one["containerPort"] for one in worker["ports"]}
        assert sorted(ports.values()) == list(range(first, first + number)), name
        assert set(ports) <= reached, name


def processes_of(command: list[str]) -> int:
    """How many processes the pool of a worker has: threads are in one."""
    size = int(command[command.index("-c") + 1])
    return 1 if "threads" in command else size


def test_prometheus_accepts_what_it_is_told_and_asks_every_process():
    path = KUBERNETES / "prometheus.yml"
    subprocess.run(["promtool", "check", "config", path], check=True)
    asked = {
        (name, one["port"])
        for job in yaml.safe_load(path.read_text())["scrape_configs"]
        for one in job["dns_sd_configs"]
        for name in one["names"]
    }
    deployments, services = of_kind("small", "Deployment"), of_kind("small", "Service")
    offered = {
        (f"{name}.doh.svc.cluster.local", port["containerPort"])
        for name, one in deployments.items()
        for port in container(one).get("ports", [])
        if port["name"].startswith("metrics")
    }
    assert asked == offered
    for name in {name.partition(".")[0] for name, _ in offered}:
        assert services[name]["spec"]["clusterIP"] == "None", name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_longer_to_stop_than_a_worker_takes(overlay: str):
    text = (sample.ROOT / "celeryconfig.example.py").read_text()
    (soft,) = re.findall(r"^worker_soft_shutdown_timeout = (\d+)", text, re.MULTILINE)
    for name, manifest in of_kind(overlay, "Deployment").items():
        grace = manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace > int(soft) + 15 + 1, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_fit_the_restricted_standard(overlay: str):
    for name, manifest in of_kind(overlay, "Deployment", "Job").items():
        pod, only = manifest["spec"]["template"]["spec"], container(manifest)
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert only["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert only["securityContext"]["readOnlyRootFilesystem"], name
        assert only["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_lasts_is_probed(overlay: str):
    for name, manifest in of_kind(overlay, "Deployment").items():
        assert "livenessProbe" in container(manifest), name
        assert "readinessProbe" in container(manifest) or name == "beat", name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_are_ready_when_they_answer_and_live_while_they_touch_a_file(overlay: str):
    (config,) = of_kind(overlay, "ConfigMap").values()
    file = Path(config["data"]["HOOK_HEARTBEAT_PATH"])
    assert 'environ.get("HOOK_HEARTBEAT_PATH")' in SETTINGS
    workers = [
        container(one)
        for one in of_kind(overlay, "Deployment").values()
        if "-Q" in container(one)["args"]
    ]
    assert workers
    for worker in workers:
        assert "inspect ping" in worker["readinessProbe"]["exec"]["command"][-1]
        *_, live = worker["livenessProbe"]["exec"]["command"]
        assert live == "$ENTRY python /srv/deploy/compose/alive.py"
        assert str(file.parent) in [mount["mountPath"] for mount in worker["volumeMounts"]]
        assert "--without-heartbeat" not in worker["args"]
    assert re.search(r"^COPY .*\balive\.py .*/srv/deploy/compose/$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_autoscaler_counts_has_no_number_of_its_own(overlay: str):
    deployments = of_kind(overlay, "Deployment")
    scalers = of_kind(overlay, "HorizontalPodAutoscaler", "ScaledObject")
    assert scalers
    for scaler in scalers.values():
        target = deployments[scaler["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]


def test_keda_counts_the_queue_of_the_workers_it_scales():
    deployments = of_kind("large", "Deployment")
    for scaler in of_kind("large", "ScaledObject").values():
        workers = deployments[scaler["spec"]["scaleTargetRef"]["name"]]
        names = {one["metadata"].get("listName") for one in scaler["spec"]["triggers"]} - {None}
        assert names == queues_of([container(workers)["args"]])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_budgets_and_services_select_pods_that_exist(overlay: str):
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in pods(overlay)]
    for manifest in of_kind(overlay, "PodDisruptionBudget", "Service").values():
        selector = manifest["spec"]["selector"]
        wanted = selector.get("matchLabels", selector).items()
        assert any(wanted <= found.items() for found in labels), manifest["metadata"]["name"]


def pods(overlay: str) -> list[Manifest]:
    return list(of_kind(overlay, "Deployment", "Job").values())


def test_only_element_workers_reach_out_and_only_to_the_internet():
    policies = of_kind("small", "NetworkPolicy")
    assert policies["nothing"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    out = policies.pop("element-to-the-internet")["spec"]
    for policy in policies.values():
        assert "ipBlock" not in str(policy["spec"])
    (chosen,) = out["podSelector"]["matchExpressions"]
    (rule,) = out["egress"]
    assert all(set(peer) == {"ipBlock"} for peer in rule["to"])
    senders = {
        name
        for name, one in of_kind("small", "Deployment").items()
        if queues_of([container(one)["args"]]) & {ELEMENT_QUEUE, SLOW_QUEUE}
    }
    assert set(chosen["values"]) == senders


@pytest.mark.parametrize("refused", DENIED, ids=str)
def test_the_internet_is_without_the_addresses_that_the_sender_refuses(refused: Network):
    (rule,) = of_kind("small", "NetworkPolicy")["element-to-the-internet"]["spec"]["egress"]
    for peer in rule["to"]:
        block = peer["ipBlock"]
        if ip_network(block["cidr"]).version == refused.version:
            left_out = map(ip_network, block["except"])
            assert any(refused.subnet_of(one) for one in left_out)  # type: ignore[arg-type]


def test_the_files_that_the_entry_point_reads_are_keys_of_the_secret():
    secret = yaml.safe_load((KUBERNETES / "base" / "secret.example.yaml").read_text())
    (config,) = of_kind("small", "ConfigMap").values()
    files = [Path(value) for name, value in config["data"].items() if name.endswith("_FILE")]
    assert files
    assert {file.name for file in files} <= set(secret["stringData"])


def test_there_are_queues_to_speak_of():
    assert len(task_queues("redis://")) > len(needed()) > 0

"""What one manifest says of another is so: selectors, targets, ports, budgets, floors."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.start import PROCESSES
from tests.manifests import OVERLAYS, VARIANT, bytes_of
from tests.pods import of_kind, pods, selects

OURS, STAND_INS = set(PROCESSES), {"redis", "aws", "bedrock"}
MIB = 2**20
EVERY = (*OVERLAYS, VARIANT)
# Whom each policy is for, and, of our own namespace, to or from whom.
POLICIES: dict[str, tuple[set[str], set[str]]] = {
    "default-deny": (OURS | STAND_INS, set()),
    "dns": (OURS | STAND_INS, set()),
    "node-local-dns": (OURS | STAND_INS, set()),
    "ingress-to-web": ({"web"}, set()),
    "prometheus-to-all": (OURS, set()),
    "all-to-redis": (OURS, set()),
    "all-to-https": (OURS, set()),
    "all-to-collector": (OURS, set()),
    "pod-identity": (OURS, set()),
    "processes-to-redis": ({"redis"}, OURS),
    "processes-to-aws": ({"aws"}, OURS),
    "processes-to-bedrock": ({"bedrock"}, OURS),
    "processes-to-stand-ins": (OURS, STAND_INS),
}

pytestmark = pytest.mark.parametrize("overlay", EVERY)


def chosen(overlay: str, selector: dict[str, Any]) -> set[str]:
    return {name for name, pod in pods(overlay).items() if selects(selector, pod.labels)}


def named(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in of_kind(overlay, kind)}


def test_a_workload_its_spread_its_service_and_its_budget_choose_its_pods(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        assert chosen(overlay, pod.manifest["spec"]["selector"]) == {name}
        for spread in pod.spec.get("topologySpreadConstraints", ()):
            assert chosen(overlay, spread["labelSelector"]) == {name}
            assert selects({"matchLabels": spread["labelSelector"]["matchLabels"]}, pod.labels)
    for name, service in named(overlay, "Service").items():
        assert chosen(overlay, {"matchLabels": service["selector"]}) == {name}
    for name, budget in named(overlay, "PodDisruptionBudget").items():
        assert chosen(overlay, budget["selector"]) == {name}


def test_each_process_is_spread_and_has_a_budget_that_lets_a_node_be_drained(overlay: str) -> None:
    budgets = named(overlay, "PodDisruptionBudget")

    assert set(budgets) == OURS
    for name, budget in budgets.items():
        assert set(budget) == {"maxUnavailable", "selector", "unhealthyPodEvictionPolicy"}
        assert budget["maxUnavailable"] == 1
        keys = [one["topologyKey"] for one in pods(overlay)[name].spec["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_policies_are_for_whom_their_names_say(overlay: str) -> None:
    here = set(pods(overlay))
    for name, spec in named(overlay, "NetworkPolicy").items():
        targets, peers = POLICIES[name]
        assert chosen(overlay, spec["podSelector"]) == targets & here, name
        found = [
            chosen(overlay, peer["podSelector"])
            for rule in [*spec.get("ingress", ()), *spec.get("egress", ())]
            for peer in [*rule.get("from", ()), *rule.get("to", ())]
            if "podSelector" in peer and "namespaceSelector" not in peer
        ]
        assert set().union(*found) == peers & here, name


def test_services_lead_to_a_port_of_their_own_name(overlay: str) -> None:
    for name, service in named(overlay, "Service").items():
        [port] = service["ports"]
        assert port["name"] == port["targetPort"]
        assert port["targetPort"] in pods(overlay)[name].ports
        assert port["targetPort"] == ("http" if name == "web" else name)


def test_the_ingress_leads_to_web(overlay: str) -> None:
    ingresses = named(overlay, "Ingress")

    assert set(ingresses) == (set() if overlay == "local" else {"web"})
    for ingress in ingresses.values():
        [rule] = ingress["rules"]
        [path] = rule["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
        backend = path["backend"]["service"]
        ports = {one["name"] for one in named(overlay, "Service")[backend["name"]]["ports"]}
        assert backend["name"] == "web"
        assert backend["port"] == {"name": "http"}
        assert "http" in ports


def test_each_autoscaler_scales_the_process_of_its_name(overlay: str) -> None:
    deployments = {one["metadata"]["name"] for one in of_kind(overlay, "Deployment")}
    by_cpu, by_metrics = named(overlay, "HorizontalPodAutoscaler"), named(overlay, "ScaledObject")

    assert set(by_cpu) == (set() if overlay == "local" else {"web"})
    assert set(by_metrics) == (set() if overlay == "local" else {"worker", "feed"})
    for name, spec in by_cpu.items():
        expected = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert spec["scaleTargetRef"] == expected
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
    for name, spec in by_metrics.items():
        assert spec["scaleTargetRef"] == {"name": name}, "a Deployment, if nothing else is said"
        assert name in deployments
        assert 2 <= spec["minReplicaCount"] < spec["maxReplicaCount"]


def test_prometheus_looks_at_a_port_of_every_process(overlay: str) -> None:
    for monitor in named(overlay, "PodMonitor").values():
        assert chosen(overlay, monitor["selector"]) == OURS
        [endpoint] = monitor["podMetricsEndpoints"]
        assert endpoint["port"] == "metrics"
        assert all(endpoint["port"] in pods(overlay)[name].ports for name in OURS)


def test_service_accounts_are_there(overlay: str) -> None:
    accounts = {one["metadata"]["name"] for one in of_kind(overlay, "ServiceAccount")}

    assert accounts == set(pods(overlay))


def test_each_process_asks_for_what_it_needs(overlay: str) -> None:
    for name in PROCESSES:
        pod = pods(overlay)[name]
        resources = pod.container["resources"]
        requests, limits = resources["requests"], resources["limits"]
        assert set(requests) == {"cpu", "memory", "ephemeral-storage"}
        assert set(limits) == {"memory", "ephemeral-storage"}, "a limit on CPU stops renewals"
        assert int(requests["cpu"].removesuffix("m")) >= 100
        assert 128 * MIB <= bytes_of(requests["memory"]) <= bytes_of(limits["memory"])
        [tmp] = [one["emptyDir"] for one in pod.spec["volumes"] if one["name"] == "tmp"]
        assert bytes_of(tmp["sizeLimit"]) >= 64 * MIB
        on_disk = 0 if tmp.get("medium") == "Memory" else bytes_of(tmp["sizeLimit"])
        asked, limit = (bytes_of(one["ephemeral-storage"]) for one in (requests, limits))
        assert on_disk <= asked
        assert on_disk + 256 * MIB <= limit, "what it writes beside /tmp, its log first of all"
        startup = pod.probes["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


def test_a_new_pod_is_watched_before_the_next_one_goes(overlay: str) -> None:
    for name in PROCESSES:
        assert pods(overlay)[name].manifest["spec"]["minReadySeconds"] >= 10

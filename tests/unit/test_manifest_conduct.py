"""How pods come, are looked at and go: spreading, probes, proxies in front, and the document."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deploy.local.environment import REPO_ROOT
from deploy.start import PROCESSES
from tests.dockerfile import only, read_stages
from tests.manifests import OVERLAYS
from tests.pods import Pod, environ_of_pod, of_kind, pods

DOCUMENT = (REPO_ROOT / "docs" / "kubernetes.md").read_text()
EVICTABLE = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
# Cluster autoscalers wait so long for a pod, by default (--max-graceful-termination-sec).
AUTOSCALERS_WAIT = 600
ALB = "alb.ingress.kubernetes.io"
NGINX = "nginx.ingress.kubernetes.io"

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def seconds_until_it_counts(probe: dict[str, Any]) -> int:
    seconds: int = probe["periodSeconds"] * probe.get("failureThreshold", 3)
    return seconds


def told(overlay: str) -> dict[str, str]:
    """The annotations of the Ingress; none where there is none."""
    return {
        name: value
        for one in of_kind(overlay, "Ingress")
        for name, value in one["metadata"]["annotations"].items()
    }


def attributes(text: str) -> dict[str, int]:
    pairs = (pair.split("=") for pair in text.split(","))
    return {name: int(value) for name, value in pairs}


def pause(pod: Pod) -> int:
    hook = pod.container.get("lifecycle", {}).get("preStop", {})
    seconds: int = hook.get("sleep", {}).get("seconds", 0)
    return seconds


def test_pods_of_a_version_are_spread_if_there_is_room_and_run_if_there_is_none(
    overlay: str,
) -> None:
    """Those of the last version, which go, would make room where the new ones are not to be."""
    for process in PROCESSES:
        for spread in pods(overlay)[process].spec["topologySpreadConstraints"]:
            assert spread["maxSkew"] == 1
            assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
            assert spread["matchLabelKeys"] == ["pod-template-hash"]


def test_a_volume_that_nobody_misses_keeps_no_node(overlay: str) -> None:
    """Cluster autoscalers leave a node alone where a pod has an emptyDir that is not named so."""
    for process in PROCESSES:
        pod = pods(overlay)[process]
        volumes = {one["name"] for one in pod.spec["volumes"] if "emptyDir" in one}
        assert pod.manifest["spec"]["template"]["metadata"]["annotations"] == {
            EVICTABLE: ",".join(sorted(volumes))
        }


def test_a_pod_ends_within_what_cluster_autoscalers_wait(overlay: str) -> None:
    for pod in pods(overlay).values():
        assert pod.spec["terminationGracePeriodSeconds"] <= AUTOSCALERS_WAIT


def test_the_document_says_how_long_each_end_takes(overlay: str) -> None:
    for process in PROCESSES:
        pod = pods(overlay)[process]
        row = re.search(rf"^\| {process} \| (.*) \| (\d+) \|$", DOCUMENT, re.MULTILINE)
        assert row is not None
        said = {int(seconds) for seconds in re.findall(r"(\d+) s\b", row[1])}
        drain = environ_of_pod(overlay, pod).get("LONGHAUL_DRAIN_SECONDS")
        assert int(row[2]) == pod.spec["terminationGracePeriodSeconds"]
        assert {pause(pod), int(drain or 0)} - {0} <= said, row[1]


def test_a_volume_and_a_token_can_be_read_by_the_images_user(overlay: str) -> None:
    user, group = only(read_stages()[1], "USER").rest.split(":")
    for pod in pods(overlay).values():
        context = pod.spec["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
        assert context["fsGroup"] == int(group), pod.name


def test_a_pod_without_the_address_of_redis_does_not_start(overlay: str) -> None:
    for process in PROCESSES:
        for one in pods(overlay)[process].container["env"]:
            if "valueFrom" in one:
                reference = one["valueFrom"]["secretKeyRef"]
                assert reference.get("optional", False) is (one["name"] != "REDIS_URL")


def test_a_start_may_be_slow_and_is_not_waited_for_for_ever(overlay: str) -> None:
    for pod in pods(overlay).values():
        assert 60 <= seconds_until_it_counts(pod.probes["startupProbe"]) <= 300


def test_who_cannot_serve_is_found_soon_and_a_busy_one_is_not_killed(overlay: str) -> None:
    for process in PROCESSES:
        probes = pods(overlay)[process].probes
        assert seconds_until_it_counts(probes["readinessProbe"]) <= 30
        assert probes["livenessProbe"]["timeoutSeconds"] >= 5
        for probe in probes.values():
            assert probe.get("timeoutSeconds", 1) <= probe["periodSeconds"]


def test_every_workload_has_a_pod(overlay: str) -> None:
    for pod in pods(overlay).values():
        assert pod.manifest["spec"].get("replicas", 1) >= 1


def test_the_balancer_asks_for_readiness_and_goes_straight_to_pods(overlay: str) -> None:
    given = {name: value for name, value in told(overlay).items() if name.startswith(f"{ALB}/")}
    if overlay == "local":
        assert given == {}
        return
    web = pods(overlay)["web"]
    target = attributes(given[f"{ALB}/target-group-attributes"])
    balancer = attributes(given[f"{ALB}/load-balancer-attributes"])

    assert given[f"{ALB}/healthcheck-path"] == web.probes["readinessProbe"]["httpGet"]["path"]
    assert given[f"{ALB}/target-type"] == "ip", "the readiness gate and the policies are of pods"
    assert set(balancer) == {"idle_timeout.timeout_seconds"}
    assert set(target) == {"deregistration_delay.timeout_seconds"}
    [delay] = target.values()
    drain = int(environ_of_pod(overlay, web)["LONGHAUL_DRAIN_SECONDS"])
    assert pause(web) + drain <= delay <= web.spec["terminationGracePeriodSeconds"]


def test_nginx_is_silent_for_as_long_both_ways_and_keeps_nothing_back(overlay: str) -> None:
    given = {name: value for name, value in told(overlay).items() if name.startswith(f"{NGINX}/")}
    if overlay == "local":
        assert given == {}
        return
    assert given[f"{NGINX}/proxy-send-timeout"] == given[f"{NGINX}/proxy-read-timeout"]
    assert given[f"{NGINX}/proxy-buffering"] == "off"


def test_web_is_where_the_document_forwards_to(overlay: str) -> None:
    [port] = [
        one["spec"]["ports"][0]["port"]
        for one in of_kind(overlay, "Service")
        if one["metadata"]["name"] == "web"
    ]

    assert f"port-forward service/web 5000:{port}\n" in DOCUMENT

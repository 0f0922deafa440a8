"""Network policies, asked as a cluster would: what a process needs is let through, no more."""

from __future__ import annotations

import pytest

from deploy.start import PROCESSES
from tests.manifests import OVERLAYS, VARIANT
from tests.network import OURS, End, admits, our_pod
from tests.pods import of_kind, pods

BASE = "../base"
EVERY = (*OVERLAYS, VARIANT)
KUBE_SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
KUBE_DNS = End(
    namespace="kube-system", namespace_labels=KUBE_SYSTEM, labels={"k8s-app": "kube-dns"}
)
PUBLIC = "52.94.1.1"
PRIVATE = ("10.20.3.4", "172.16.5.6", "172.31.255.1", "192.168.7.8")
STAND_INS = {"redis": 5002, "aws": 5001, "bedrock": 5003}


def outside(address: str) -> End:
    return End(address=address)


def labelled(name: str) -> End:
    """Any pod of a namespace with this label."""
    return End(namespace="theirs", namespace_labels={name: "allowed"}, labels={"app": "any"})


@pytest.mark.parametrize("overlay", EVERY)
def test_every_pod_may_ask_kube_dns_and_nobody_else_there(overlay: str) -> None:
    other = End(namespace="kube-system", namespace_labels=KUBE_SYSTEM, labels={"k8s-app": "x"})
    elsewhere = End(namespace="theirs", labels=KUBE_DNS.labels)

    for name in pods(overlay):
        source = our_pod(overlay, name)
        for protocol in ("UDP", "TCP"):
            assert admits(overlay, source, KUBE_DNS, 53, protocol), name
            assert not admits(overlay, source, other, 53, protocol)
            assert not admits(overlay, source, elsewhere, 53, protocol)
            assert not admits(overlay, source, outside("8.8.8.8"), 53, protocol)
        assert not admits(overlay, source, KUBE_DNS, 443)


@pytest.mark.parametrize("overlay", EVERY)
def test_no_peer_of_another_namespace_is_asked_for_our_labels(overlay: str) -> None:
    for policy in of_kind(overlay, "NetworkPolicy"):
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, ()):
                for peer in rule[side]:
                    if "namespaceSelector" in peer:
                        assert "app.kubernetes.io" not in str(peer), policy["metadata"]["name"]


@pytest.mark.parametrize("process", PROCESSES)
def test_on_aws_a_process_reaches_redis_and_public_https(process: str) -> None:
    source = our_pod("aws", process)

    assert all(admits("aws", source, outside(address), 6379) for address in PRIVATE)
    assert admits("aws", source, outside(PUBLIC), 443)
    for port in (22, 80, 6379, 8443):
        assert not admits("aws", source, outside(PUBLIC), port)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("overlay", EVERY)
def test_no_process_reaches_metadata_or_a_neighbour(overlay: str, process: str) -> None:
    source = our_pod(overlay, process)

    for address in ("169.254.169.254", "169.254.170.2", "100.64.1.1", *PRIVATE):
        for port in (53, 80, 443):
            assert not admits(overlay, source, outside(address), port), address
    for other in PROCESSES:
        target = our_pod(overlay, other)
        assert not any(admits(overlay, source, target, port) for port in target.ports.values())
    assert not admits(overlay, source, labelled("any"), 443)


@pytest.mark.parametrize("process", PROCESSES)
def test_on_a_laptop_a_process_reaches_the_stand_ins_alone(process: str) -> None:
    source = our_pod("local", process)

    for name, port in STAND_INS.items():
        assert admits("local", source, our_pod("local", name), port), name
        assert not admits("local", source, our_pod("local", name), 22)
    assert not admits("local", source, outside(PUBLIC), 443)
    assert not admits("local", source, outside(PRIVATE[0]), 6379)


def test_nobody_else_reaches_a_stand_in_and_they_reach_nothing() -> None:
    stranger = End(namespace=OURS, labels={"app.kubernetes.io/name": "longhaul"})
    for name, port in STAND_INS.items():
        stand_in = our_pod("local", name)
        for source in (stranger, labelled("any"), outside(PRIVATE[0])):
            assert not admits("local", source, stand_in, port)
        for other, others_port in STAND_INS.items():
            assert not admits("local", stand_in, our_pod("local", other), others_port)
        assert not admits("local", stand_in, outside(PUBLIC), 443)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("overlay", EVERY)
def test_prometheus_alone_reaches_the_metrics(overlay: str, process: str) -> None:
    target = our_pod(overlay, process)
    port = target.ports["metrics"]

    assert admits(overlay, labelled("longhaul/metrics"), target, port)
    assert not admits(overlay, labelled("longhaul/ingress"), target, port)
    assert not admits(overlay, outside(PRIVATE[0]), target, port)
    if process == "web":
        assert not admits(overlay, labelled("longhaul/metrics"), target, target.ports["http"])


def test_web_is_reached_from_the_ingress_side() -> None:
    web = our_pod(BASE, "web")
    http = web.ports["http"]

    assert admits(BASE, labelled("longhaul/ingress"), web, http)
    assert not admits(BASE, labelled("any"), web, http)
    assert all(admits("aws", outside(address), web, http) for address in PRIVATE)
    assert not admits("aws", outside(PUBLIC), web, http)
    assert not admits("local", outside(PRIVATE[0]), web, http)


@pytest.mark.parametrize("process", PROCESSES)
def test_the_components_open_what_they_are_for(process: str) -> None:
    source = our_pod(VARIANT, process)
    collector = labelled("longhaul/traces")

    for opened in (VARIANT, "aws"):
        is_open = opened == VARIANT
        assert admits(opened, source, collector, 4318) is is_open
        assert admits(opened, source, outside("169.254.20.10"), 53, "UDP") is is_open
        assert admits(opened, source, outside("169.254.170.23"), 80) is is_open
    assert not admits(VARIANT, source, labelled("any"), 4318)
    assert not admits(VARIANT, source, outside("169.254.20.10"), 80)

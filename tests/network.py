"""Who may speak to whom by an overlay's NetworkPolicies, as their specification says."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.pods import of_kind, pods, selects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "longhaul"


@dataclass(frozen=True, kw_only=True)
class End:
    """A pod of a namespace, or an address outside the cluster."""

    address: str | None = None
    namespace: str | None = None
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


def our_pod(overlay: str, name: str) -> End:
    pod = pods(overlay)[name]
    return End(namespace=OURS, labels=pod.labels, ports=pod.ports)


def admits(overlay: str, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Ask both ends: what leaves the one must be let out, what comes to the other let in."""
    asked = ((source, target, "Egress", "to"), (target, source, "Ingress", "from"))
    return all(
        any(
            _is_peer(peer, other) and _is_port(rule, target, port, protocol)
            for rule in rules
            for peer in rule.get(side) or [{}]
        )
        for own, other, direction, side in asked
        if (rules := _rules(overlay, own, direction)) is not None
    )


def _rules(overlay: str, end: End, direction: str) -> list[dict[str, Any]] | None:
    """Give what is allowed; None where nothing is denied."""
    specs = [one["spec"] for one in of_kind(overlay, "NetworkPolicy")]
    mine = [
        spec
        for spec in specs
        if end.namespace == OURS
        and direction in spec["policyTypes"]
        and selects(spec["podSelector"], end.labels)
    ]
    return [rule for spec in mine for rule in spec.get(direction.lower(), ())] if mine else None


def _is_peer(peer: dict[str, Any], end: End) -> bool:
    if "ipBlock" in peer:
        # Whether a block holds pods is left to the network; addresses stand for themselves.
        block = peer["ipBlock"]
        return end.address is not None and (
            _holds(block["cidr"], end.address)
            and not any(_holds(one, end.address) for one in block.get("except", ()))
        )
    if not peer:
        return True
    if end.namespace is None:
        return False
    in_namespace = (
        selects(peer["namespaceSelector"], end.namespace_labels)
        if "namespaceSelector" in peer
        else end.namespace == OURS
    )
    return in_namespace and selects(peer.get("podSelector", {}), end.labels)


def _holds(cidr: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _is_port(rule: dict[str, Any], target: End, port: int, protocol: str) -> bool:
    return "ports" not in rule or (port, protocol) in set(_ports(rule, target))


def _ports(rule: dict[str, Any], target: End) -> Iterator[tuple[int | None, str]]:
    for one in rule["ports"]:
        number = one["port"] if isinstance(one["port"], int) else target.ports.get(one["port"])
        yield number, one.get("protocol", "TCP")

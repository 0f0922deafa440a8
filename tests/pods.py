"""The pods of an overlay: each one's arguments, environment, ports and probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.manifests import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.manifests import Manifest

SECRET_VALUES = {
    "REDIS_URL": "rediss://:secret@cache.example.com:6379/0",
    "LONGHAUL_API_KEYS": "ada:0123456789abcdef",
    "LONGHAUL_WEBHOOK_SECRETS": "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
}

OF_TRACES = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret"}


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A workload of one container."""

    manifest: Manifest

    @property
    def name(self) -> str:
        name: str = self.manifest["metadata"]["name"]
        return name

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.manifest["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> dict[str, Any]:
        [container] = self.spec["containers"]
        found: dict[str, Any] = container
        return found

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}

    @property
    def probes(self) -> dict[str, dict[str, Any]]:
        return {
            name: self.container[name]
            for name in ("startupProbe", "readinessProbe", "livenessProbe")
        }


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    return [one for one in render(overlay) if one["kind"] in kinds]


def pods(overlay: str) -> dict[str, Pod]:
    found = [Pod(manifest=one) for one in of_kind(overlay, "Deployment", "StatefulSet")]
    return {pod.name: pod for pod in found}


def environ_of_pod(overlay: str, pod: Pod) -> dict[str, str]:
    """Work out what the container's environment is, secrets that nobody has made included."""
    maps = {one["metadata"]["name"]: one["data"] for one in of_kind(overlay, "ConfigMap")}
    made = [one["metadata"]["name"] for one in of_kind(overlay, "Secret")]
    environ: dict[str, str] = {}
    for source in pod.container.get("envFrom", ()):
        environ |= maps[source["configMapRef"]["name"]]
    for one in pod.container["env"]:
        if "value" in one:
            environ[one["name"]] = one["value"]
            continue
        reference = one["valueFrom"]["secretKeyRef"]
        assert reference["key"] == one["name"]
        assert reference["name"] in made or overlay.startswith("aws"), reference
        environ[one["name"]] = {**SECRET_VALUES, **OF_TRACES}[one["name"]]
    return environ


def selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    """Hold labels against a selector; of expressions it knows those that are used here."""
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", ())
    assert all(one["operator"] == "In" for one in expressions)
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )

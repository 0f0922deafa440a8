"""What is wrong with a manifest is found: each check is shown a manifest that it must refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.manifests import OVERLAYS, VARIANT, problems, render, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.manifests import Manifest


def workload(manifests: list[Manifest], name: str) -> dict[str, Any]:
    [one] = [one for one in of_kind(manifests, "Deployment") if one["metadata"]["name"] == name]
    spec: dict[str, Any] = one["spec"]
    return spec


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] == kind]


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = workload(manifests, "worker")["template"]["spec"]
    return spec


def container(manifests: list[Manifest]) -> dict[str, Any]:
    [one] = pod(manifests)["containers"]
    found: dict[str, Any] = one
    return found


def misspell(manifests: list[Manifest]) -> None:
    pod(manifests)["terminationGracePeriod"] = 600


def give_a_word_for_a_number(manifests: list[Manifest]) -> None:
    workload(manifests, "feed")["replicas"] = "two"


def use_a_version_that_is_gone(manifests: list[Manifest]) -> None:
    of_kind(manifests, "PodDisruptionBudget")[0]["apiVersion"] = "policy/v1beta1"


def misspell_for_keda(manifests: list[Manifest]) -> None:
    of_kind(manifests, "ScaledObject")[0]["spec"]["minReplicas"] = 1


def misspell_a_trigger(manifests: list[Manifest]) -> None:
    metadata = of_kind(manifests, "ScaledObject")[0]["spec"]["triggers"][0]["metadata"]
    metadata["treshold"] = metadata.pop("threshold")


def misspell_for_prometheus(manifests: list[Manifest]) -> None:
    of_kind(manifests, "PodMonitor")[0]["spec"]["podMetricsEndpoints"][0]["prot"] = "metrics"


def name_twice(manifests: list[Manifest]) -> None:
    manifests.append(manifests[0])


MISTAKES: dict[str, tuple[Callable[[list[Manifest]], None], str]] = {
    "misspelt": (misspell, "terminationGracePeriod"),
    "not a number": (give_a_word_for_a_number, "'two' is not"),
    "an old version": (use_a_version_that_is_gone, "Couldn't find schema"),
    "misspelt for KEDA": (misspell_for_keda, ".spec.minReplicas"),
    "a trigger misspelt": (misspell_a_trigger, "treshold"),
    "misspelt for Prometheus": (misspell_for_prometheus, ".spec.podMetricsEndpoints[0].prot"),
    "twice": (name_twice, "is there twice"),
}


@pytest.mark.parametrize("overlay", [*OVERLAYS, VARIANT])
def test_every_manifest_fits_its_definition_in_every_version(overlay: str) -> None:
    assert problems(render(overlay)) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_by_its_definition(mistake: str) -> None:
    manifests = render("aws")
    make, expected = MISTAKES[mistake]
    make(manifests)

    found = problems(manifests)

    assert found
    assert all(expected in one for one in found)


@pytest.mark.timeout(300)
def test_what_is_allowed_too_much_is_found_by_policy() -> None:
    manifests = render("aws")
    one = container(manifests)
    one["securityContext"] = {"privileged": True, "capabilities": {"add": ["NET_ADMIN"]}}
    del one["livenessProbe"], one["readinessProbe"], one["resources"]
    pod(manifests)["hostNetwork"] = True

    found = violations(manifests)

    for policy in ("CKV_K8S_16", "CKV_K8S_8", "CKV_K8S_9", "CKV_K8S_10", "CKV_K8S_19"):
        assert f"{policy}:" in found
    assert "worker" in found
    assert "feed" not in found

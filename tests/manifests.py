"""deploy/kubernetes, rendered, and what is checked of it: schemas, custom resources, policies."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import yaml
from pydantic import BaseModel, ValidationError

from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Manifest = dict[str, Any]

KUBERNETES = REPO_ROOT / "deploy" / "kubernetes"
OVERLAYS = ("local", "aws")
# An overlay with components that are not in it.
VARIANT = "aws+traces+node-local-dns+pod-identity"
VERSIONS = ("1.35", "1.36", "1.37")
# What KEDA's scaler for Prometheus reads out of `metadata`, which its definition leaves open:
# https://keda.sh/docs/latest/scalers/prometheus/
PROMETHEUS_NEEDS = {"serverAddress", "query", "threshold"}
PROMETHEUS_TAKES = PROMETHEUS_NEEDS | {"activationThreshold", "namespace", "ignoreNullValues"}
_BIN = Path(sys.prefix) / "bin"
_CHECKOV = Path(sys.prefix) / "checkov" / "bin" / "checkov"


def render(overlay: str) -> list[Manifest]:
    """Render an overlay as `kubectl apply -k` does."""
    return deepcopy(list(_rendered(overlay)))


@functools.cache
def _rendered(overlay: str) -> tuple[Manifest, ...]:
    name, *components = overlay.split("+")
    if not components:
        return tuple(render_folder(KUBERNETES / "overlays" / name))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        parts = {
            "resources": [KUBERNETES / "overlays" / name],
            "components": [KUBERNETES / "components" / one for one in components],
        }
        content = {  # kustomize wants relative paths
            kind: [os.path.relpath(path, folder) for path in paths] for kind, paths in parts.items()
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return tuple(render_folder(folder))


def render_folder(folder: Path) -> list[Manifest]:
    done = subprocess.run(  # noqa: S603 - our own arguments
        [str(_BIN / "kubectl"), "kustomize", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise ValueError(f"{folder.name} is not rendered: {done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def bytes_of(quantity: str) -> int:
    return int(quantity[:-2]) * {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[quantity[-2:]]


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def problems(manifests: Sequence[Manifest]) -> list[str]:
    """Hold each manifest against its definition in every version, unknown fields included."""
    found = [problem for one in manifests for problem in _problems_of(one)]
    names = [named(one) for one in manifests]
    return found + [f"{name} is there twice" for name in set(names) if names.count(name) > 1]


@functools.cache
def _custom() -> dict[str, type[BaseModel]]:
    """Give the models of custom resources, which take seconds to import."""
    from cloudcoil.models.keda import v1alpha1 as keda  # noqa: PLC0415 - as said
    from cloudcoil.models.prometheus_operator import v1 as prometheus  # noqa: PLC0415

    return {
        "ScaledObject": keda.ScaledObject,
        "PodMonitor": prometheus.PodMonitor,
        "PrometheusRule": prometheus.PrometheusRule,
    }


def _problems_of(manifest: Manifest) -> Iterator[str]:
    if model := _custom().get(manifest["kind"]):
        yield from _problems_of_custom(manifest, model)
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{named(manifest)}: {error.message}"
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(step) for step in error.path)
            yield f"{named(manifest)} in {version}: {where}: {error.message}"


def _problems_of_custom(manifest: Manifest, model: type[BaseModel]) -> Iterator[str]:
    try:
        read = model.model_validate(manifest)
    except ValidationError as error:
        yield f"{named(manifest)}: {error}"
        return
    # The models pass over fields that they do not know; the cluster would refuse them.
    kept = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    if kept != manifest:
        yield f"{named(manifest)}: fields that the definition has not: {_lost(manifest, kept)}"
    for trigger in manifest["spec"].get("triggers", ()):
        given = set(trigger["metadata"])
        if trigger["type"] != "prometheus" or not PROMETHEUS_NEEDS <= given <= PROMETHEUS_TAKES:
            yield f"{named(manifest)}: not a trigger by Prometheus: {trigger}"


def _lost(given: object, kept: object, where: str = "") -> list[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            lost
            for name, value in given.items()
            for lost in (
                _lost(value, kept[name], f"{where}.{name}") if name in kept else [f"{where}.{name}"]
            )
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [
            lost
            for number, (one, other) in enumerate(zip(given, kept, strict=True))
            for lost in _lost(one, other, f"{where}[{number}]")
        ]
    return [] if given == kept else [where]


def violations(manifests: Sequence[Manifest]) -> str:
    """Scan for policies with checkov, less what deploy/kubernetes/checkov.yaml explains."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rendered.yaml"
        file.write_text(yaml.safe_dump_all(manifests))
        done = subprocess.run(  # noqa: S603 - our own arguments
            [str(_CHECKOV), "--config-file", str(KUBERNETES / "checkov.yaml"), "--file", str(file)],
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
            cwd=folder,
        )
    if done.returncode == 0 and "Failed checks: 0" in done.stdout:
        return ""
    return done.stdout + done.stderr


def main() -> int:
    """Check every overlay: `make kubernetes-check`."""
    every = (*OVERLAYS, VARIANT)
    wrong = [f"{one}: {problem}" for one in every for problem in problems(render(one))]
    wrong += filter(None, [violations([one for overlay in every for one in render(overlay)])])
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

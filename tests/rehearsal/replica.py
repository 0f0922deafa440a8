"""One pod without a cluster: the manifest's process, replaced as the kubelet replaces it."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from adapters.metrics_ports import PORTS_ON
from tests.free_ports import free_base
from tests.pods import environ_of_pod, pods
from tests.stack import Program, clean_environ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rehearsal.service import Service

OVERLAY = "local"
LOOK_SECONDS = 0.05
READY_WITHIN = 120.0
_HWM = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the manifest says of a process's end, in seconds, `scale` times as long.

    The margin beyond preStop and drain is not scaled: a machine is not faster in a short form.
    """

    pause: float
    drain: float
    grace: float
    min_ready: float

    @classmethod
    def of(cls, process: str, *, scale: float) -> Terms:
        pod = pods(OVERLAY)[process]
        pause = float(
            pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        drain = float(environ_of_pod(OVERLAY, pod).get("LONGHAUL_DRAIN_SECONDS", 0))
        margin = pod.spec["terminationGracePeriodSeconds"] - pause - drain
        return cls(
            pause=pause * scale,
            drain=drain * scale,
            grace=(pause + drain) * scale + margin,
            min_ready=pod.manifest["spec"].get("minReadySeconds", 0) * scale,
        )


@dataclass(frozen=True, kw_only=True)
class End:
    """How a replica ended."""

    name: str
    status: int
    seconds: float
    was_killed: bool
    peak_mib: float


class Replica:
    """One process, from its start to its end."""

    def __init__(
        self, process: str, number: int, *, terms: Terms, stack: Mapping[str, str], logs: Path
    ) -> None:
        pod = pods(OVERLAY)[process]
        self.name = f"{process}-{number}"
        self.terms = terms
        self.port = free_base(1)
        metrics = free_base(max(PORTS_ON.values()) + 1)
        ports = {"http": self.port, "metrics": metrics + PORTS_ON[process]}
        probe = pod.probes["readinessProbe"]["httpGet"]
        self._probe = f"http://127.0.0.1:{ports[probe['port']]}{probe['path']}"
        self._program = Program(
            (sys.executable, "-m", "deploy.start", *pod.container["args"]),
            environ={
                **clean_environ(),
                **environ_of_pod(OVERLAY, pod),
                **stack,
                "PORT": str(self.port),
                "LONGHAUL_HOST": "127.0.0.1",
                "LONGHAUL_METRICS_HOST": "127.0.0.1",
                "LONGHAUL_METRICS_PORT": str(metrics),
                "LONGHAUL_DRAIN_SECONDS": f"{terms.drain:g}",
                "LONGHAUL_LOG_FORMAT": "json",
            },
            log=logs / f"{self.name}.log",
        )

    async def become_ready(self) -> None:
        """Wait until the manifest's probe says so, and for minReadySeconds."""
        async with asyncio.timeout(READY_WITHIN), httpx.AsyncClient(trust_env=False) as client:
            while not await _is_ready(client, self._probe):
                assert self._program.is_running, self._program.tail()
                await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(self.terms.min_ready)
        assert self._program.is_running, self._program.tail()

    async def terminate(self, service: Service | None) -> End:
        """End it as the kubelet does: out of the Service, preStop, SIGTERM, and SIGKILL at last.

        Proxies learn of the end while preStop runs; here in the middle of it.
        """
        began = time.monotonic()
        await asyncio.sleep(self.terms.pause / 2)
        if service is not None:
            service.endpoints.discard(self.port)
        await asyncio.sleep(self.terms.pause / 2)
        peak = self.peak_mib()
        self._program.process.send_signal(signal.SIGTERM)
        while self._program.is_running and time.monotonic() - began < self.terms.grace:
            peak = max(peak, self.peak_mib())
            await asyncio.sleep(LOOK_SECONDS)
        was_killed = self._program.is_running
        status = -signal.SIGKILL if was_killed else self._program.process.wait()
        self._program.kill()
        return End(
            name=self.name,
            status=status,
            seconds=time.monotonic() - began,
            was_killed=was_killed,
            peak_mib=peak,
        )

    def pids(self) -> tuple[int, ...]:
        """Its own, and its children's."""
        return (self._program.pid, *self._program.children())

    def kill(self) -> None:
        """End it at once, after whatever went wrong."""
        self._program.kill()

    def peak_mib(self) -> float:
        """The most memory that it and its children have had, each at its own time."""
        peak = 0
        for pid in self.pids():
            try:
                found = _HWM.search(Path(f"/proc/{pid}/status").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            peak += int(found[1]) if found else 0
        return peak / 1024


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url, timeout=5)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False

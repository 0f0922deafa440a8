"""What the processes' measurement says: its section of docs/kubernetes.md, and raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from bench.document import machine, table, versions
from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME: Final = "processes"
DOCUMENT: Final = REPO_ROOT / "docs" / "kubernetes.md"
_STANDS_ON = ("gunicorn", "gevent", "celery", "boto3", "flask")
_MS = 1000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: so many jobs at once, each with a stream of so many seconds."""

    jobs: int = 300
    seconds: float = 30.0
    tokens: int = 300
    idle: float = 20.0
    rounds: int = 3

    @property
    def prompt(self) -> str:
        """What makes the stand-in's model answer so."""
        pace = f"tokens={self.tokens}; duration_s={self.seconds:g}; first_token_s=0.5"
        return f"Say it. <<stand-in: {pace}>>"

    @property
    def command(self) -> str:
        """The command that measures this."""
        return (
            f"python -m bench.processes --jobs {self.jobs} --seconds {self.seconds:g}"
            f" --tokens {self.tokens} --idle {self.idle:g} --rounds {self.rounds}"
        )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The most memory that a process held in a while, and the processor's time that it used."""

    mib: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one process and its children: while there was nothing to do, and in each round."""

    idle: Reading
    loaded: Sequence[Reading]

    @property
    def loaded_mib(self) -> float:
        """The most of all rounds."""
        return max(one.mib for one in self.loaded)

    @property
    def loaded_cpu_seconds(self) -> float:
        """A round's, the least of them: neighbours can only add to it."""
        return min(one.cpu_seconds for one in self.loaded)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured, and how long each round took on this machine."""

    plan: Plan
    figures: Mapping[str, Figures]
    took_seconds: Sequence[float]


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def section(results: Results) -> str:
    """Write the section."""
    plan = results.plan
    rows = [
        [
            name,
            f"{one.idle.mib:.0f} MiB",
            f"{one.loaded_mib:.0f} MiB",
            f"{one.idle.cpu_seconds / plan.idle * _MS:.0f}m",
            f"{one.loaded_cpu_seconds / plan.seconds * _MS:.0f}m",
            f"{one.loaded_cpu_seconds / plan.jobs * _MS:.0f} ms",
        ]
        for name, one in results.figures.items()
    ]
    head = ["", "memory idle", "loaded", "CPU idle", "loaded", "CPU a job"]
    return f"""\
One of each process by its manifest, and {plan.jobs} jobs at once, each a stream of {plan.tokens} \
pieces over
{plan.seconds:g} s that somebody watches by SSE:

{table(head, rows)}

- Memory: the most of the proportional set size of a process and its children, looked at each
  second.
- CPU: processor time that was used, in thousandths of a core: by the {plan.idle:g} s in which
  nothing was asked, and by the {plan.seconds:g} s that the streams are to take, however long they
  took (here {min(results.took_seconds):.0f} to {max(results.took_seconds):.0f} s). A job's is its \
part of that time.
- Of {plan.rounds} rounds the most memory, and the least processor time: neighbours only add to it.
- `{plan.command}`
  (`make measure-processes`)
- {versions(_STANDS_ON)}
- {machine()}"""

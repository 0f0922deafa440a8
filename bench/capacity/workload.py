"""What is assumed of the work: each assumption is a flag of `python -m bench.capacity`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from adapters.settings import Settings
from jobs.narrate import BATCH_TIME

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

RATES: Final = (10, 1_000, 100_000)  # jobs a minute
_MAY_BE_NONE: Final = frozenset(
    {"watchers", "looks", "prompt_bytes", "inline_prompt_bytes", "stream_ms", "read_ms"}
)
_LEAST, _MOST = 0.1, 1e9


def _default(setting: str) -> int:
    default = Settings.model_fields[setting].default
    assert isinstance(default, int)  # noqa: S101 - ours to know: these settings have numbers
    return default


def _told(help_: str) -> Mapping[str, str]:
    return {"help": help_}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One kind of job, all alike, that comes at one rate day and night.

    Raises ValueError for what no job can be, naming the flag.
    """

    job_seconds: float = field(default=30.0, metadata=_told("for which the model answers"))
    prompt_bytes: int = field(default=2_048, metadata=_told("of a prompt"))
    prompt_tokens: int = field(default=512, metadata=_told("of a prompt, as the model counts"))
    answer_tokens: int = field(default=500, metadata=_told("of an answer, each a piece that comes"))
    answer_bytes: int = field(default=2_000, metadata=_told("of an answer"))
    max_tokens: int = field(
        default=_default("default_max_tokens"),
        metadata=_told("that each call asks for at most (`LONGHAUL_DEFAULT_MAX_TOKENS`)"),
    )
    quota_tokens: float = field(
        default=1e6,
        metadata=_told("a minute, of a model's quota: an example, yours stands in Service Quotas"),
    )
    watchers: float = field(default=1.0, metadata=_told("of a job from its start, by SSE"))
    looks: float = field(default=1.0, metadata=_told("at an ended job (GET)"))
    batch_ms: float = field(
        default=BATCH_TIME / timedelta(milliseconds=1),
        metadata=_told("in which pieces become one event (`BATCH_TIME` in `jobs/narrate.py`)"),
    )
    stream_ms: float = field(
        default=100.0,
        metadata=_told("until a change stands in the stream (AWS names no figure), simulated only"),
    )
    read_ms: float = field(default=20.0, metadata=_told("of a GetRecords call, simulated only"))
    inline_prompt_bytes: int = field(
        default=_default("inline_prompt_bytes"),
        metadata=_told("of a prompt that stands in its row (`LONGHAUL_INLINE_PROMPT_BYTES`)"),
    )
    busy: float = field(default=0.6, metadata=_told("of a core, or of memory, that is planned for"))
    kept_days: int = field(
        default=_default("retention_days"),
        metadata=_told("that a row is kept (`LONGHAUL_RETENTION_DAYS`)"),
    )
    hours_a_month: float = field(default=730.0, metadata=_told("at this rate; the cost follows"))

    def __post_init__(self) -> None:
        for one in fields(self):
            least = 0.0 if one.name in _MAY_BE_NONE else _LEAST
            most = 1.0 if one.name == "busy" else _MOST
            if not least <= getattr(self, one.name) <= most:
                raise ValueError(f"{flag_of(one.name)} must be {least:g} to {most:,.0f}")

    @property
    def deltas(self) -> float:
        """How many events an answer's text becomes: pieces that come faster go together."""
        return min(self.answer_tokens, self.job_seconds * 1000 / self.batch_ms)

    @classmethod
    def from_flags(cls, arguments: argparse.Namespace) -> Workload:
        """Take what the command line says."""
        return cls(**{one.name: getattr(arguments, one.name) for one in fields(cls)})


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Make each assumption a flag."""
    for one in fields(Workload):
        parser.add_argument(
            flag_of(one.name),
            type=type(one.default),
            default=one.default,
            help=one.metadata["help"],
        )


def flag_of(name: str) -> str:
    """Give an assumption's flag."""
    return f"--{name.replace('_', '-')}"

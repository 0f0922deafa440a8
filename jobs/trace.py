"""The trace id that a job carries from its request to its last event.

One form is used everywhere (row, JSON, log, Celery header, event): X-Ray's root id,
`1-<8 hex>-<24 hex>`. Its 32 hex digits are the W3C trace id, so both headers are read and either
can be written. https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NewType, Self

if TYPE_CHECKING:
    from datetime import datetime

TraceId = NewType("TraceId", str)

_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_SPAN = re.compile(r"[0-9a-f]{16}")
_SPAN_CONTEXT = r"-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})"
_TRACEPARENT = re.compile(rf"00{_SPAN_CONTEXT}")
_TRACEPARENT_TO_COME = re.compile(rf"(?!00|ff)[0-9a-f]{{2}}{_SPAN_CONTEXT}(?:-.*)?")
_NOTHING = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED_FLAG = 0x01


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A trace id with the span that called us and its sampling decision, where they were sent."""

    id: TraceId
    parent: str | None = None
    sampled: bool | None = None

    @classmethod
    def start(cls, now: datetime, entropy: bytes) -> Self:
        """Make a new trace; `entropy` is 12 random bytes, `now` gives X-Ray its epoch seconds."""
        return cls(id=TraceId(f"1-{int(now.timestamp()):08x}-{entropy[:12].hex():0>24}"))

    @classmethod
    def from_xray(cls, header: str) -> Self | None:
        """Read `X-Amzn-Trace-Id`; None where it is not one, as its sender's fault costs no job."""
        fields = dict(
            part.strip().split("=", 1) for part in header.lower().split(";") if "=" in part
        )
        if not _ROOT.fullmatch(root := fields.get("root", "")):
            return None
        parent = fields.get("parent", "")
        sampled = {"1": True, "0": False}.get(fields.get("sampled", ""))
        return cls(
            id=TraceId(root),
            parent=parent if _SPAN.fullmatch(parent) else None,
            sampled=sampled,
        )

    @classmethod
    def from_callers_xray(cls, header: str) -> Self | None:
        """Read a caller's `X-Amzn-Trace-Id`; zeros name nothing, as W3C says of its own header.

        No tracer takes such an id. Rows and tasks are read as they were written, whatever they say.
        """
        trace = cls.from_xray(header)
        if trace is None or trace.id[2:].replace("-", "") == _NOTHING:
            return None
        return replace(trace, parent=None) if trace.parent == _NO_SPAN else trace

    @classmethod
    def from_traceparent(cls, header: str) -> Self | None:
        """Read W3C's `traceparent`; None where it is not one (all zeros are not, says the spec)."""
        text = header.strip()
        match = _TRACEPARENT.fullmatch(text) or _TRACEPARENT_TO_COME.fullmatch(text)
        if match is None or match[1] == _NOTHING or match[2] == _NO_SPAN:
            return None
        return cls(
            id=TraceId(f"1-{match[1][:8]}-{match[1][8:]}"),
            parent=match[2],
            sampled=bool(int(match[3], 16) & _SAMPLED_FLAG),
        )

    @property
    def header(self) -> str:
        """The `X-Amzn-Trace-Id` header that says the same."""
        header = f"Root={self.id}"
        if self.parent is not None:
            header += f";Parent={self.parent}"
        if self.sampled is not None:
            header += f";Sampled={int(self.sampled)}"
        return header

    @property
    def traceparent(self) -> str | None:
        """The `traceparent` header that says the same; None without a span to be the parent."""
        if self.parent is None or not _ROOT.fullmatch(self.id):
            return None
        return f"00-{self.id[2:].replace('-', '')}-{self.parent}-{int(self.sampled is True):02x}"

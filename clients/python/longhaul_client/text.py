"""A job's text, kept right by the contract's four rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longhaul_client.events import JobCompleted, JobDelta, JobRetrying, JobStarted, StreamGap

if TYPE_CHECKING:
    from longhaul_client.events import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class TextChange:
    """What an event does to the text: `added` comes to it; where it is `anew`, to an empty one."""

    added: str
    anew: bool = False


class Text:
    """The text of the attempt that runs, put together from events in their order."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def __str__(self) -> str:
        return "".join(self._pieces)

    def take(self, event: Event, *, fetched: str | None = None) -> TextChange | None:
        """Take an event and say what it changed; None where the text stays as it is.

        `fetched` is what was found behind `url_to_fetch(event)`, where that names a place.
        """
        match event:
            case JobDelta(text=text) if text:
                self._pieces.append(text)
                return TextChange(added=text)
            case JobStarted() | JobRetrying() | StreamGap() if self._pieces:
                self._pieces.clear()
                return TextChange(added="", anew=True)
            case JobCompleted(result=result) if result is not None:
                text = result.text if result.text is not None else fetched or ""
                had_text = bool(self._pieces)
                self._pieces = [text]
                return TextChange(added=text, anew=had_text)
        return None


def is_behind_url(event: Event) -> bool:
    """Whether the text has to be fetched before the event can be taken."""
    return (
        isinstance(event, JobCompleted) and event.result is not None and event.result.text is None
    )

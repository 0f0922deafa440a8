"""What the events of one job have told so far."""

from deploy.local.demo.client import Told
from jobs.events import EventType


class Streamed:
    """The text of the attempt that runs, put together from events in the order of their `seq`."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._seqs: list[int] = []
        self._last_seq = 0
        self.first_text_at: float | None = None
        self.last: EventType | None = None

    def take(self, event: Told, *, at: float) -> bool:
        """Take an event that came `at` (monotonic seconds); False if it was told before."""
        if event.seq <= self._last_seq:
            return False
        self._last_seq = event.seq
        self.last = event.type
        if event.type is EventType.DELTA:
            self.first_text_at = self.first_text_at or at
            self._pieces.append(event.text)
            self._seqs.append(event.seq)
        return True

    def void(self) -> bool:
        """Forget the text, because another attempt starts from nothing; False if there is none."""
        had_text = bool(self._pieces)
        self._pieces.clear()
        self._seqs.clear()
        return had_text

    @property
    def has_ended(self) -> bool:
        """Whether the last event was the job's last one."""
        return self.last is not None and self.last.is_terminal

    @property
    def content(self) -> bytes:
        """The text so far, as it would be stored."""
        return "".join(self._pieces).encode()

    @property
    def came_in(self) -> str:
        """In how many events the text came, and their numbers."""
        if not self._seqs:
            return "no text came"
        return f"{len(self._seqs)} job.delta events, seq {self._seqs[0]} to {self._seqs[-1]}"

"""The ledger of calls: who called the model, when, and how it ended. Tests read it."""

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.bedrock.request import Identity

MOST_CALLS = 200_000


@dataclass(kw_only=True, slots=True)
class Call:
    """One call to the model. Times are seconds since the epoch; `n` counts the calls of its job.

    Outcomes: running, completed, throttled, error:<Name>, client_gone, cut.
    """

    n: int
    job: str
    attempt: int | None
    trace_id: str | None
    operation: str
    model: str
    started_at: float
    first_token_at: float | None = None
    ended_at: float | None = None
    outcome: str = "running"
    output_tokens: int = 0
    input_tokens: int = 0

    def told(self) -> dict[str, object]:
        """Return the call as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Ledger:
    """The last calls, and counts of all since it was cleared. Used on the event loop only."""

    def __init__(self, *, most: int = MOST_CALLS) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget every call, and that any job ever called; calls under way end unrecorded."""
        self._calls: deque[Call] = deque(maxlen=self._most)
        self._calls_of_job: OrderedDict[str, int] = OrderedDict()
        self._outcomes: Counter[str] = Counter()
        self._running: set[int] = set()
        self._max_in_flight = 0

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    def begin(self, who: Identity, *, operation: str, model: str, at: float) -> Call:
        """Record that a call came, and return it; it counts as one of its job's calls at once."""
        n = self._calls_of_job.get(who.job, 0) + 1
        self._calls_of_job[who.job] = n
        self._calls_of_job.move_to_end(who.job)
        if len(self._calls_of_job) > self._most:
            self._calls_of_job.popitem(last=False)
        call = Call(
            n=n,
            job=who.job,
            attempt=who.attempt,
            trace_id=who.trace_id,
            operation=operation,
            model=model,
            started_at=at,
        )
        self._calls.append(call)
        self._running.add(id(call))
        self._max_in_flight = max(self._max_in_flight, len(self._running))
        return call

    def end(self, call: Call, outcome: str, *, at: float) -> None:
        """Record how a call ended. The first outcome stands."""
        if call.outcome != "running":
            return
        call.outcome, call.ended_at = outcome, at
        if id(call) in self._running:
            self._running.remove(id(call))
            self._outcomes[outcome] += 1

    def calls(self, job: str | None) -> list[Call]:
        """Return the calls of a job, or all of them, in the order they came."""
        return [call for call in self._calls if job is None or call.job == job]

    def summary(self) -> Mapping[str, object]:
        """Return counts by outcome since the ledger was cleared, and of calls under way."""
        return {
            "calls": sum(self._outcomes.values()) + self.in_flight,
            "outcomes": dict(self._outcomes),
            "in_flight": self.in_flight,
            "max_in_flight": self._max_in_flight,
        }

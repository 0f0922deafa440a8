"""One job, those who run it, those who watch it, and what breaks: rules for random stories.

The workers are played with the product's own steps and adapters, on a real Redis and on DynamoDB's
API. Watchers come and go over WebSocket and SSE on two real web processes. Each rule is a plain
method too, for stories that are told by hand.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from adapters.clock import SystemChance
from adapters.memory import ManualClock, MemoryEvents
from jobs.answer import PaidAnswer
from jobs.cancel import cancel_job
from jobs.claim import Claim
from jobs.conclude import complete, expire, hand_over, retry_or_fail
from jobs.errors import ClaimLost
from jobs.job import JobStatus, UserId, WorkerId
from jobs.redrive import redrive_job
from jobs.run import claim_job, settle, store_result
from jobs.running import Run
from jobs.submit import submit_job
from tests.builders import (
    LEASE,
    ScriptedLeases,
    a_request,
    a_task,
    cancel_parts,
    redrive_parts,
    rejected,
    run_parts,
    submit_parts,
    throttled,
)
from tests.stack import wait_until
from tests.watcher_clients import Onlooker, SocketWatcher, StreamWatcher
from tests.witness import Record, RecordingBus, Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.job import Job
    from jobs.outcome import Outcome
    from jobs.running import RunParts
    from tests.watcher_stage import Stage

WEB = 2  # which bus the web processes' own words go by; the workers' are 0 and 1
MOST_WATCHERS = 6
BEYOND = 9_007_199_254_740_991  # JavaScript's last whole number

webs = st.integers(0, 1)
watchers = st.integers(0, MOST_WATCHERS)
pieces = st.lists(st.text("abcß☕", min_size=1, max_size=4), min_size=1, max_size=30)


class WatchersLife(RuleBasedStateMachine):
    """One job, those who run it, those who watch it, and what breaks."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
        self.record = Record()
        self.holder: Run | None = None
        self.fenced: list[Run] = []
        self.watchers: list[SocketWatcher | StreamWatcher] = []
        self.onlookers: list[Onlooker] = []
        self.speaker = WEB
        self.accidents = 0

    @initialize(inline_bytes=st.sampled_from([64 * 1024, 0]))
    def submit(self, inline_bytes: int) -> None:
        self.inline_bytes = inline_bytes
        request = a_request(user=UserId("local"), accepted_at=self.clock.now())
        self.job_id = submit_job(
            request,
            submit_parts(
                store=self.stage.store,
                objects=self.stage.objects,
                events=self.bus(WEB),
                feed=MemoryEvents(),
                clock=self.clock,
                chance=SystemChance(),
            ),
        ).id

    # who runs the job

    @precondition(lambda self: self.holder is None and not self.job.status.is_terminal)
    @rule(worker=st.integers(0, 1))
    def claim(self, worker: int) -> None:
        if (not_before := self.job.not_before) is not None:
            self.clock.advance(max(not_before - self.clock.now(), timedelta(0)))
        parts = self.parts(worker)
        claim = claim_job(a_task(self.job), parts)
        assert isinstance(claim, Claim), claim
        self.holder = Run(claim=claim, lease=ScriptedLeases(), parts=parts)
        self.holder.narrator.tell_started()

    @precondition(lambda self: self.holder is not None)
    @rule(pieces=pieces, at_once=st.booleans())
    def tell_text(self, pieces: list[str], *, at_once: bool) -> None:
        holder = self.holding
        self.speak(self.worker_of(holder))
        for piece in pieces:
            holder.take_in(piece)
            if not at_once:
                holder.narrator.flush()
        holder.narrator.flush()

    @precondition(lambda self: self.holder is not None)
    @rule()
    def tell_long_text(self) -> None:
        self.tell_text(["long " * 1_700], at_once=True)

    @precondition(lambda self: self.holder is not None)
    @rule()
    def the_lease_lapses(self) -> None:
        self.fenced.append(self.holding)
        self.holder = None
        self.clock.advance(LEASE + timedelta(seconds=1))

    @precondition(lambda self: self.fenced)
    @rule(words=st.integers(1, 3))
    def who_lost_the_claim_goes_on(self, words: int) -> None:
        run = self.fenced[-1]
        if run.claim.epoch == self.job.epoch:
            return  # nobody has claimed since: it may still write
        self.speak(self.worker_of(run))
        for _ in range(words):
            run.narrator.tell_delta("late")
            run.narrator.flush()
        with pytest.raises(ClaimLost):
            settle(run, hand_over(run))

    @precondition(lambda self: self.holder is not None)
    @rule(how=st.sampled_from(["throttled", "throttled", "drained"]))
    def retry(self, how: str) -> None:
        run = self.holding
        self.end(hand_over(run) if how == "drained" else retry_or_fail(run, throttled()))

    @precondition(lambda self: self.holder is not None)
    @rule(how=st.sampled_from(["fail", "expire"]))
    def give_up(self, how: str) -> None:
        run = self.holding
        self.end(expire(run) if how == "expire" else retry_or_fail(run, rejected()))

    @precondition(lambda self: self.holder is not None)
    @rule()
    def complete(self) -> None:
        run = self.holding
        job = run.claim.job
        self.record.result = run.text_so_far
        answer = PaidAnswer(
            job=job.id,
            attempt=job.attempt,
            text=run.text_so_far,
            usage=(1, 1),
            stop_reason="end_turn",
        )
        self.end(complete(run, answer, store_result(run, answer.text)))

    @precondition(lambda self: not self.job.status.is_terminal)
    @rule()
    def cancel(self) -> None:
        events = self.bus(WEB)
        cancel_job(self.job, cancel_parts(self.stage.store, events=events, clock=self.clock))
        if self.holder is not None:
            self.fenced.append(self.holder)
            self.holder = None

    @precondition(
        lambda self: self.job.status.is_terminal and self.job.status is not JobStatus.COMPLETED
    )
    @rule()
    def redrive(self) -> None:
        events = self.bus(WEB)
        parts = redrive_parts(self.stage.store, events=events, feed=MemoryEvents())
        redrive_job(self.job, parts)

    # who watches it

    @precondition(lambda self: len(self.watchers) < MOST_WATCHERS)
    @rule(web=webs, by_stream=st.booleans(), share=st.none() | st.floats(0, 1))
    def watch(self, web: int, share: float | None, *, by_stream: bool) -> None:
        witness = Witness(record=self.record, base=self.stage.urls[web])
        if share is not None:
            witness.go_on_after(self.number_at(share))
        kind = StreamWatcher if by_stream else SocketWatcher
        watcher = kind(urls=self.stage.urls, web=web, job_id=self.job_id, witness=witness)
        self.watchers.append(watcher)
        self.stage.loop.do(watcher.start())

    @precondition(lambda self: self.watchers)
    @rule(which=watchers)
    def leave(self, which: int) -> None:
        self.stage.loop.do(self.watcher(which).leave())

    @precondition(lambda self: self.watchers)
    @rule(which=watchers, web=webs)
    def come_back(self, which: int, web: int) -> None:
        self.restart(self.watcher(which), web)

    @precondition(lambda self: self.watchers)
    @rule(which=watchers, web=webs, share=st.floats(0, 1))
    def come_back_elsewhere_in_the_story(self, which: int, web: int, share: float) -> None:
        watcher = self.watcher(which)
        self.stage.loop.do(watcher.leave())
        watcher.witness.go_on_after(self.number_at(share))
        self.restart(watcher, web)

    @precondition(lambda self: self.watchers)
    @rule(which=watchers, web=webs, ahead=st.sampled_from([1, 5, 999_000, 1_000_000, BEYOND]))
    def come_back_mistaken(self, which: int, web: int, ahead: int) -> None:
        watcher = self.watcher(which)
        self.stage.loop.do(watcher.leave())
        watcher.witness.mistake(min(BEYOND, self.record.last + ahead))
        self.restart(watcher, web)

    @precondition(lambda self: len(self.onlookers) < 2)
    @rule(web=webs)
    def look_on(self, web: int) -> None:
        onlooker = Onlooker(urls=self.stage.urls, web=web, job_id=self.job_id)
        self.stage.loop.do(onlooker.start())
        wait_until(lambda: onlooker.is_in or not onlooker.is_there, "it hears of all")
        self.wait_until_said()
        onlooker.since = self.record.last
        self.onlookers.append(onlooker)

    @rule()
    def all_catch_up(self) -> None:
        if self.holder is not None:
            self.tell_text(["."], at_once=True)
        elif self.record.losses:
            return  # whoever is owed a gap learns of it with the next event
        wait_until(lambda: all(map(self.is_up_to_date, self.watchers)), f"all: {self.views()}")

    # what breaks

    @rule()
    def redis_loses_the_log(self) -> None:
        self.lose(lambda: self.stage.redis.delete(f"longhaul:log:{self.job_id}"))

    @rule()
    def redis_is_wiped(self) -> None:
        self.lose(self.stage.redis.flushall)

    @rule()
    def subscriptions_are_cut(self) -> None:
        self.stage.redis.client_kill_filter(_type="pubsub")

    @rule()
    def all_connections_to_redis_are_cut(self) -> None:
        self.subscriptions_are_cut()
        self.stage.redis.client_kill_filter(_type="normal", skipme=True)

    @precondition(lambda self: not self.accidents)
    @rule(chance=st.integers(0, 3), how=st.sampled_from(["redis", "drain", "kill"]), web=webs)
    def a_process_goes(self, chance: int, how: str, web: int) -> None:
        if chance:
            return  # it takes seconds
        self.accidents += 1
        if how == "redis":
            self.lose(self.restart_redis)
            return
        process = self.stage.webs[web]
        process.drain() if how == "drain" else process.kill()
        if self.holder is not None:
            self.tell_text(["while", "it", "is", "away"], at_once=False)
        process.start()

    @invariant()
    def nobody_has_met_an_untrue_word(self) -> None:
        for client in (*self.watchers, *self.onlookers):
            client.check()

    # how it ends

    def teardown(self) -> None:
        try:
            # Not where the story broke off: what failed there is what counts.
            if sys.exc_info()[0] is None and hasattr(self, "job_id"):
                self.all_end_alike()
        finally:
            for client in (*self.watchers, *self.onlookers):
                self.stage.loop.do(client.leave())

    def all_end_alike(self) -> None:
        """Bring the job to its end and everyone back to it."""
        if not self.job.status.is_terminal:
            if self.holder is None:
                self.claim(0)
            self.complete()
        self.wait_until_said()
        for watcher in self.watchers:
            if not watcher.is_there and watcher.witness.end is None:
                self.restart(watcher, watcher.web)
        self.wait_for_ends()
        wait_until(lambda: all(map(self.has_heard_enough, self.onlookers)), "onlookers to hear")
        self.lose(lambda: self.stage.redis.delete(f"longhaul:log:{self.job_id}"))
        for number, share in enumerate((None, 0.2, 0.5, 0.9, 1)):
            self.watchers_to_check(number, share)
        self.wait_for_ends()

    def watchers_to_check(self, number: int, share: float | None) -> None:
        """Let one more come after the end, with nothing but the row to be told from."""
        witness = Witness(record=self.record, base=self.stage.urls[number % 2])
        if share is not None:
            witness.go_on_after(self.number_at(share))
        kind = StreamWatcher if number % 2 else SocketWatcher
        watcher = kind(urls=self.stage.urls, job_id=self.job_id, witness=witness)
        self.watchers.append(watcher)
        self.stage.loop.do(watcher.start())

    def wait_for_ends(self) -> None:
        def have_ended() -> bool:
            self.nobody_has_met_an_untrue_word()
            return all(watcher.witness.end for watcher in self.watchers)

        wait_until(have_ended, f"everyone's end: {self.views()}", within=15)

    # the books

    @property
    def job(self) -> Job:
        return self.stage.store.get(self.job_id)

    @property
    def holding(self) -> Run:
        assert self.holder is not None
        return self.holder

    def bus(self, speaker: int) -> RecordingBus:
        self.speak(speaker)
        return RecordingBus(self.stage.buses[speaker], self.record)

    def speak(self, speaker: int) -> None:
        """Let one process's words out before another's begin: the record has one order."""
        if speaker != self.speaker:
            self.wait_until_said()
        self.speaker = speaker

    def wait_until_said(self) -> None:
        bus = self.stage.buses[self.speaker]
        wait_until(lambda: bus.wait_until_said(1), "all to be said")

    def parts(self, worker: int) -> RunParts:
        return run_parts(
            store=self.stage.store,
            objects=self.stage.objects,
            events=self.bus(worker),
            clock=self.clock,
            chance=SystemChance(),
            worker=WorkerId(f"worker@test:{worker}"),
            inline_result_bytes=self.inline_bytes,
        )

    def worker_of(self, run: Run) -> int:
        return int(run.parts.worker[-1])

    def end(self, outcome: Outcome) -> None:
        """Write how the attempt has ended, and tell."""
        run, self.holder = self.holding, None
        self.speak(self.worker_of(run))
        settle(run, outcome)
        run.narrator.announce(outcome)

    def watcher(self, which: int) -> SocketWatcher | StreamWatcher:
        return self.watchers[which % len(self.watchers)]

    def restart(self, watcher: SocketWatcher | StreamWatcher, web: int) -> None:
        self.stage.loop.do(watcher.leave())
        watcher.web = web
        self.stage.loop.do(watcher.start())

    def number_at(self, share: float) -> int:
        """Give a number that was told: 0 is before the first, 1 the last."""
        self.wait_until_said()  # nobody can know of what is not out yet
        numbers = [0, *self.record.numbers]
        return numbers[round(share * (len(numbers) - 1))]

    def lose(self, act: Callable[[], object]) -> None:
        self.record.losses += 1
        act()

    def restart_redis(self) -> None:
        self.stage.server.kill()
        if self.holder is not None:
            self.tell_text(["while", "it", "is", "away"], at_once=False)
        self.stage.server.start()
        self.stage.redis.flushall()

    def is_up_to_date(self, watcher: SocketWatcher | StreamWatcher) -> bool:
        watcher.check()
        witness = watcher.witness
        if not watcher.is_there or not witness.is_sure or witness.end is not None:
            return True
        return witness.last == self.record.last or witness.is_void

    def has_heard_enough(self, onlooker: Onlooker) -> bool:
        onlooker.check()
        due = {number for number in self.record.states if number > onlooker.since}
        return onlooker.was_told_of_loss or due <= set(onlooker.states)

    def views(self) -> str:
        return "\n".join(str(watcher.witness) for watcher in self.watchers)

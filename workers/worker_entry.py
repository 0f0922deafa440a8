"""The worker's entry: Celery brings tasks in, hundreds of jobs run in threads of the process."""

from __future__ import annotations

import gc
import warnings

from celery.signals import worker_shutting_down

from adapters.clock import SystemClock
from adapters.kept_answers import AnswersInEither
from adapters.logs import get_log, get_urgent_log
from adapters.standing import WorkerStanding
from adapters.wiring import (
    check_all_resources,
    open_deliver_parts,
    open_drain_source,
    open_fenced_source,
    open_slots,
    open_worker_parts,
)
from jobs.errors import Unavailable
from workers.broker import ANNOUNCE_QUEUE, RUN_QUEUE, CeleryTaskQueue, make_celery
from workers.carrier import Carrier
from workers.celerys_words import take_celerys_words
from workers.desk import Desk
from workers.drain import Drain
from workers.drain_listener import DrainListener
from workers.fenced_listener import FencedListener
from workers.leases import RenewingLeases
from workers.messenger import Messenger
from workers.start import open_tracer_or_exit, start_or_exit
from workers.tasks import register_tasks
from workers.timers import Timers
from workers.turnstile import Turnstile

_INTAKE_THREADS = 8  # they only bring tasks in; jobs run behind the turnstile


def main() -> None:
    """Run a worker until SIGTERM."""
    # As root in a container it says so in eight lines; the image is where that is decided.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    settings, metrics = start_or_exit("worker", check=check_all_resources)
    log, clock = get_log(), SystemClock()
    tracer = open_tracer_or_exit(settings, "worker")
    timers = Timers(clock=clock, log=log)
    parts, leases = open_worker_parts(
        settings,
        make_leases=lambda store: RenewingLeases(store=store, clock=clock, log=log, timers=timers),
        tracer=tracer,
    )
    match parts.kept:
        case AnswersInEither(home=home, spool=spool):
            try:
                spool.prepare()
            except Unavailable as error:
                log.warning("started_without", role="worker", reason=str(error))
            Carrier(left=spool, home=home, log=log).start()
    FencedListener(source=open_fenced_source(settings), leases=leases, log=log).start()
    celery = make_celery(settings.redis_url, connections=20)
    # Timers of its own: what it sends waits for a silent Redis, and no deadline may wait for that.
    desk = Desk(parts=parts, queue=CeleryTaskQueue(celery), timers=Timers(clock=clock, log=log))
    slots = open_slots(settings)
    turnstile = Turnstile(desk=desk, slots=slots, room=settings.worker_concurrency, log=log)
    deliver_parts = open_deliver_parts(settings, tracer=tracer)
    messenger = Messenger(parts=deliver_parts, room=settings.webhook_concurrency)
    register_tasks(celery, turnstile, messenger, log)
    drain = Drain(
        desk=desk, turnstile=turnstile, leases=leases, log=log, grace=settings.drain_seconds
    )
    worker_shutting_down.connect(drain.begin, weak=False)
    take_celerys_words(log, get_urgent_log(), redis_url=settings.redis_url)
    room = settings.worker_concurrency
    metrics.watch_worker(lambda: WorkerStanding(running=turnstile.running, room=room))
    DrainListener(source=open_drain_source(settings), log=log).start()
    turnstile.start()
    log.info("worker_started", worker=parts.worker, concurrency=settings.worker_concurrency)
    try:
        celery.worker_main(
            [
                "--quiet",
                "worker",
                "--pool=threads",
                f"--concurrency={_INTAKE_THREADS}",
                f"--queues={RUN_QUEUE},{ANNOUNCE_QUEUE}",
                "--loglevel=WARNING",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
            ]
        )
    finally:  # Celery has no tasks any more; the jobs have until the drain hands them over
        messenger.close()
        turnstile.wait_until_empty()
        slots.leave()
        log.info("worker_ended", worker=parts.worker)
        # Python would look for garbage among all modules once more, for a second or two on a busy
        # machine, of the five that honcho gives.
        gc.freeze()


if __name__ == "__main__":
    main()

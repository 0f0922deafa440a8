"""The worker's entry: Celery on its threads pool, hundreds of jobs a process."""

from __future__ import annotations

import warnings

from celery.signals import worker_shutting_down

from adapters.clock import SystemClock
from adapters.logs import get_log
from adapters.wiring import open_worker_parts
from workers.broker import RUN_QUEUE, CeleryTaskQueue, make_celery
from workers.desk import Desk
from workers.drain import Drain
from workers.leases import RenewingLeases
from workers.start import read_settings_or_exit
from workers.tasks import register_tasks
from workers.timers import Timers


def main() -> None:
    """Run a worker until SIGTERM."""
    # As root in a container it says so in eight lines; the image is where that is decided.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    settings = read_settings_or_exit("worker")
    log, clock = get_log(), SystemClock()
    timers = Timers(clock=clock, log=log)
    parts, leases = open_worker_parts(
        settings,
        make_leases=lambda store: RenewingLeases(store=store, clock=clock, log=log, timers=timers),
    )
    celery = make_celery(settings.redis_url, connections=settings.worker_concurrency + 20)
    desk = Desk(parts=parts, queue=CeleryTaskQueue(celery), timers=timers)
    register_tasks(celery, desk, log)
    drain = Drain(desk=desk, leases=leases, log=log, grace=settings.drain_seconds)
    worker_shutting_down.connect(drain.begin, weak=False)
    log.info("worker_started", worker=parts.worker, concurrency=settings.worker_concurrency)
    celery.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=threads",
            f"--concurrency={settings.worker_concurrency}",
            f"--queues={RUN_QUEUE}",
            "--loglevel=WARNING",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main()

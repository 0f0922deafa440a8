"""The event bus on Redis pub/sub: publishing from anywhere, one subscription a web process."""

from __future__ import annotations

import atexit
import json
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.redis_fenced import FENCED_CHANNEL, write_fenced
from adapters.redis_log import log_event, read_heard, refusals
from adapters.told_trace import split_trace, with_trace
from jobs.errors import Unavailable
from jobs.events import message_of
from jobs.ports import Topic, topic_of_job, topic_of_user
from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.events import Event
    from jobs.fenced import Fenced
    from jobs.ports import Listener, Log

T = TypeVar("T")

NUDGE_CHANNEL = "longhaul:nudge"
_HELLO = "longhaul:hello"  # always subscribed, so that a subscription always has a connection
_HELD_UP_SECONDS = 1.0
_LAST_WORDS_SECONDS = 2.0
_FLUSH_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.05
_ROUND_TRIP = 500  # messages at most that go to Redis together
# Text that comes sooner after a round trip goes with the next one: see decision 45.
_BREATH_SECONDS = 0.01
_OUTBOX = 20_000  # messages that may wait
_CONFIRM_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 2.0

# What a reader may meet when another thread finds the connection broken at the same moment.
_BROKEN = (redis.RedisError, OSError, ValueError, AttributeError, RuntimeError)


def connect_redis(url: str, *, connections: int) -> redis.Redis:
    """Make a client that fails within seconds and never retries by itself.

    Who comes when all connections are in use waits for one, as for an answer of Redis: redis-py's
    own pool refuses at once, so a stampede would look like a Redis that is away.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        timeout=3,
        socket_timeout=3,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=30,
        max_connections=connections,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


@dataclass(frozen=True, slots=True)
class _Message:
    """What is to be said, to whom; an event is logged as well."""

    topics: tuple[Topic, ...]
    text: str
    event: Event | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether it goes at once; text may wait for more text."""
        return self.event is None or self.event.type.is_state

    @property
    def told(self) -> str:
        """What is published: an end's trace goes along, for those who tell it on."""
        return self.text if self.event is None else with_trace(self.event, self.text)


class RedisEventBus:
    """jobs.ports.EventBus and Nudge and jobs.fenced.Holders: says things from a thread of its own.

    Hundreds of jobs stream at once; what they say in one moment goes to Redis in one round trip,
    in order: each event is added to its job's log (adapters/redis_log.py) and then published.
    Between two round trips of text it takes a breath, so that many streams share one; a change of
    state, a nudge and whoever flushes end it.
    While Redis is away it waits in the outbox and is said once Redis is back; what does
    not fit there is dropped, but never a change of state. Whoever talks faster than Redis listens
    is held up for a moment, but not by a Redis that is away.
    """

    def __init__(self, client: redis.Redis, log: Log) -> None:
        self._client = client
        self._log = log
        lock = threading.RLock()
        self._filled = threading.Condition(lock)  # the one that says things waits for it
        self._emptied = threading.Condition(lock)  # hundreds of jobs may wait for this one
        self._outbox: deque[_Message] = deque()
        self._hurries = False
        self._is_idle = False  # the one that says things has nothing to say, and breathes no more
        self._breathes_until = 0.0
        self._taken_in = 0  # messages, since the process began
        self._sent = 0
        self._dropped = 0
        self._is_away = False
        self._thread: threading.Thread | None = None

    def publish(self, event: Event) -> None:
        """Tell whoever listens: the job's watchers and, of state events, its user's."""
        text = json.dumps(message_of(event), ensure_ascii=False, separators=(",", ":"))
        topics = [topic_of_job(event.job)]
        if event.type.is_state:
            topics.append(topic_of_user(event.user))
        self._say(_Message(tuple(topics), text, event), must=event.type.is_state)

    def nudge(self) -> None:
        """Hint to the feed that there is something to read."""
        self._say(_Message((Topic(NUDGE_CHANNEL),), ""), must=False)

    def tell_fenced(self, fenced: Fenced) -> None:
        """Hint to whoever runs the job that it was taken from them; never waits."""
        self._say(_Message((Topic(FENCED_CHANNEL),), write_fenced(fenced)), must=True)

    def flush(self) -> None:
        """Wait until what was published before is out, for a second at most."""
        self.wait_until_said(_FLUSH_SECONDS)

    def wait_until_said(self, seconds: float) -> bool:
        """Wait until what was published before is out, `seconds` at most, and say whether it is.

        A Redis that is away is not waited for.
        """
        with self._emptied:
            until = self._taken_in
            self._hurry()
            self._emptied.wait_for(lambda: self._is_away or self._sent >= until, seconds)
            return self._sent >= until

    def _say(self, message: _Message, *, must: bool) -> None:
        with self._emptied:
            if not must and len(self._outbox) >= _OUTBOX:
                wait = 0.0 if self._is_away else _HELD_UP_SECONDS
                self._emptied.wait_for(lambda: len(self._outbox) < _OUTBOX, wait)
            if not must and len(self._outbox) >= _OUTBOX:
                self._dropped += 1
                return
            self._outbox.append(message)
            self._taken_in += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()
                atexit.register(self.wait_until_said, _LAST_WORDS_SECONDS)
            if message.is_urgent:
                self._hurry()
            elif self._is_idle or len(self._outbox) == _ROUND_TRIP:
                self._filled.notify()

    def _hurry(self) -> None:
        """Let what waits go now; for who has the lock."""
        self._hurries = bool(self._outbox)
        self._filled.notify()

    def _run(self) -> None:
        while True:
            messages = self._take()
            pause = _FIRST_PAUSE_SECONDS
            while not self._send(messages):
                with self._emptied:
                    self._emptied.notify_all()  # a Redis that is away is not waited for
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self._breathes_until = time.monotonic() + _BREATH_SECONDS
            with self._emptied:
                self._sent += len(messages)
                self._emptied.notify_all()

    def _take(self) -> list[_Message]:
        """Wait as long as text may wait for more of it, and then for something to say."""
        with self._filled:
            self._filled.wait_for(
                lambda: self._hurries or len(self._outbox) >= _ROUND_TRIP,
                max(0.0, self._breathes_until - time.monotonic()),
            )
            self._is_idle = True
            self._filled.wait_for(lambda: self._outbox)
            self._is_idle = False
            taken = [self._outbox.popleft() for _ in range(min(_ROUND_TRIP, len(self._outbox)))]
            self._hurries = bool(self._outbox)  # what does not fit goes right after it
            return taken

    def _send(self, messages: list[_Message]) -> bool:
        """Say a round trip's worth; by its number the log and watchers drop what comes twice."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for message in messages:
                    if message.event is not None:
                        log_event(pipe, message.event, message.text)
                    for topic in message.topics:
                        pipe.publish(topic, message.told)
                answers = pipe.execute(raise_on_error=False)
            for refusal in refusals(answers):
                self._log.warning("event_not_logged", reason=str(refusal))
        except redis.RedisError as error:
            if not self._is_away:
                self._log.warning("publish_waits", reason=type(error).__name__)
            self._is_away = True
            return False
        except Exception as error:  # noqa: BLE001 - what cannot be said must not silence the rest
            self._log.warning("publish_broke", reason=type(error).__name__, events=len(messages))
            return True
        if self._is_away:
            self._log.warning("publish_goes_on", dropped=self._dropped)
            self._is_away, self._dropped = False, 0
        return True


class PlainPubSub(redis.client.PubSub):
    """Never connects anew: redis-py would do so in whichever thread meets the break first.

    Two that do it at once read the same socket, and one of them fails with anything at all.
    """

    def check_health(self) -> None:
        """Ask Redis whether it is there, on the connection as it is."""
        self._check(self.connection)
        super().check_health()

    def _execute(self, conn: Any, command: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - redis-py's
        self._check(conn)
        return command(*args, **kwargs)

    def _check(self, conn: Any) -> None:  # noqa: ANN401 - redis-py's
        if conn is None or not conn.is_connected or conn.should_reconnect():
            raise redis.ConnectionError("the connection is broken")


class RedisEventSource:
    """jobs.ports.EventSource: one connection, read by the thread that calls `listen`.

    Other threads only send SUBSCRIBE on it and wait for Redis's confirmation, which the reader
    sees. The reader alone connects anew, so that it knows when events may have been missed.
    """

    def __init__(self, client: redis.Redis, log: Log) -> None:
        self._client = client
        self._log = log
        self._lock = threading.Lock()
        self._wanted: dict[Topic, threading.Event] = {}
        self._pubsub: PlainPubSub | None = None
        self._closed = False

    def listen(self, listener: Listener) -> None:
        """Pass events on until `close`; connects anew for as long as it takes."""
        connected_before = False
        pause = 0.05
        while not self._closed:
            try:
                self._connect()
                if connected_before:
                    self._log.info("events_reconnected", topics=len(self._wanted))
                    listener.lose_touch()
                connected_before, pause = True, 0.05
                self._read(listener)
            except _BROKEN as error:
                if not self._closed:
                    self._log.warning("events_disconnected", reason=type(error).__name__)
            self._disconnect()
            if not self._closed:
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def add(self, topic: Topic) -> None:
        """Subscribe; returns once Redis has confirmed. Raises Unavailable."""
        with self._lock:
            confirmed = self._wanted.get(topic)
            if confirmed is None:
                confirmed = self._wanted[topic] = threading.Event()
                self._send_subscribe(topic)
        if not confirmed.wait(_CONFIRM_SECONDS):
            raise Unavailable("events", "Redis does not confirm the subscription")

    def remove(self, topic: Topic) -> None:
        """Unsubscribe."""
        with self._lock:
            self._wanted.pop(topic, None)
            if self._pubsub is not None:
                # The reader meets the same error and connects anew.
                with suppress(*_BROKEN):
                    self._pubsub.unsubscribe(topic)  # type: ignore[no-untyped-call] # redis-py's

    def close(self) -> None:
        """End `listen`, within a second."""
        self._closed = True

    def _connect(self) -> None:
        pubsub = PlainPubSub(self._client.connection_pool)
        pubsub.subscribe(_HELLO)
        with self._lock:
            self._pubsub = pubsub
            for confirmed in self._wanted.values():
                confirmed.clear()
            if self._wanted:
                pubsub.subscribe(*self._wanted)

    def _disconnect(self) -> None:
        with self._lock:
            pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            pubsub.close()

    def _send_subscribe(self, topic: Topic) -> None:
        if self._pubsub is None:
            return  # the reader subscribes to all that is wanted as soon as it is connected
        with suppress(*_BROKEN):
            self._pubsub.subscribe(topic)

    def _read(self, listener: Listener) -> None:
        pubsub = self._pubsub
        while pubsub is not None and pubsub is self._pubsub and not self._closed:
            message = pubsub.get_message(timeout=1.0)
            if message is None:
                continue
            topic = Topic(message["channel"].decode())
            if message["type"] == "subscribe":
                self._confirm(topic)
            elif message["type"] == "message" and topic != _HELLO:
                self._pass_on(topic, message["data"], listener)

    def _confirm(self, topic: Topic) -> None:
        with self._lock:
            confirmed = self._wanted.get(topic)
        if confirmed is not None:
            confirmed.set()

    def _pass_on(self, topic: Topic, data: bytes, listener: Listener) -> None:
        try:
            text = data.decode()
            text, trace = split_trace(text)
            heard = replace(read_heard(topic, text), trace=trace)
        except (ValueError, KeyError, TypeError) as error:
            self._log.warning("event_unreadable", topic=topic, reason=sketch(error))
            return
        listener.hear(heard)

"""Composes the answer to a call: which tokens, how many, and why it ends where it does."""

import hashlib
import math
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice

from deploy.local.bedrock.faults import Faults
from deploy.local.bedrock.request import Ask, Limits
from deploy.local.bedrock.summary import summarise

CHARS_PER_TOKEN = 4

# A token is a word with the white space before it; a longer word is several tokens.
_TOKEN = re.compile(r"\s*\S{1,16}|\s+")
_FILLER = [
    "One",
    "word",
    "follows",
    "another",
    "as",
    "the",
    "stand-in",
    "counts",
    "its",
    "tokens",
    "in",
    "the",
    "order",
    "they",
    "were",
    "asked",
    "for.",
]


class StopReason(StrEnum):
    """Why an answer ends, in Converse's words."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The whole answer, in tokens; joined they are its text."""

    tokens: tuple[str, ...]
    stop_reason: StopReason
    stop_sequence: str | None
    input_tokens: int

    @property
    def text(self) -> str:
        """The answer as one text."""
        return "".join(self.tokens)

    @property
    def output_tokens(self) -> int:
        """How many tokens the answer has."""
        return len(self.tokens)


class Summaries:
    """Summaries by the digest of their text, the last few: many jobs may send the same document."""

    def __init__(self, *, most: int = 128) -> None:
        self._most = most
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, text: str, unread: tuple[str, ...]) -> str:
        """Return the summary of the text, made now or before."""
        encoded = "\0".join((*unread, text)).encode(errors="surrogatepass")
        digest = hashlib.blake2b(encoded, digest_size=16).digest()
        with self._lock:  # one at a time: two threads would only take turns at the interpreter
            if digest not in self._known:
                self._known[digest] = summarise(text, unread=unread)
            self._known.move_to_end(digest)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return self._known[digest]


def compose(ask: Ask, faults: Faults, summaries: Summaries) -> Answer:
    """Return the answer to the ask: what the faults dictate, else a summary, within its limits."""
    if faults.echo is not None:
        tokens = split_tokens(faults.echo)
    elif faults.tokens is not None:
        tokens = _filler(faults.tokens)
    else:
        tokens = split_tokens(summaries.of("\n\n".join(ask.user), ask.unread))
    return _limit(tokens, ask.limits, input_tokens=count_input_tokens(ask))


def split_tokens(text: str) -> tuple[str, ...]:
    """Return the text in tokens; joined they are the text again."""
    return tuple(_TOKEN.findall(text))


def count_input_tokens(ask: Ask) -> int:
    """Return about how many tokens a model would count: a token for every four characters."""
    chars = sum(map(len, (*ask.system, *ask.user, *ask.earlier)))
    return max(1, math.ceil(chars / CHARS_PER_TOKEN))


def _filler(count: int) -> tuple[str, ...]:
    words = islice(cycle(_FILLER), count)
    return tuple(word if index == 0 else f" {word}" for index, word in enumerate(words))


def _limit(tokens: tuple[str, ...], limits: Limits, *, input_tokens: int) -> Answer:
    reason, stop_sequence = StopReason.END_TURN, None
    if limits.stop_sequences:
        text = "".join(tokens)
        found = [(at, stop) for stop in limits.stop_sequences if (at := text.find(stop)) >= 0]
        if found:
            end, stop_sequence = min(found)
            tokens, reason = split_tokens(text[:end]), StopReason.STOP_SEQUENCE
    if limits.max_tokens is not None and len(tokens) > limits.max_tokens:
        tokens = tokens[: limits.max_tokens]
        reason, stop_sequence = StopReason.MAX_TOKENS, None
    return Answer(
        tokens=tokens, stop_reason=reason, stop_sequence=stop_sequence, input_tokens=input_tokens
    )

"""Sends an answer at its pace, whole or in a stream, with the faults that were asked for."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from deploy.local.bedrock.answer import Answer
from deploy.local.bedrock.errors import BedrockError, error_payload, usual_message
from deploy.local.bedrock.eventstream import CONTENT_TYPE, encode_exception, garble
from deploy.local.bedrock.faults import StreamFaults
from deploy.local.bedrock.ledger import Call, Ledger
from deploy.local.bedrock.pace import Schedule
from deploy.local.bedrock.shapes import AnswerShape, Timing, to_json

# A wake-up with its write costs the event loop ~50 microseconds. Streams wake no more often than
# that allows for all of them together, and then send every chunk that is due in one write.
_WAKE_UP_S = 50e-6


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One answer on its way. `came_at` is the loop's time when the request came, in seconds."""

    request: web.Request
    headers: Mapping[str, str]
    shape: AnswerShape
    answer: Answer
    schedule: Schedule
    faults: StreamFaults
    call: Call
    ledger: Ledger
    came_at: float

    async def send_whole(self) -> web.Response:
        """Answer at once, when the last token would have come. Garbling does not apply here."""
        await _sleep_until(self.came_at + self.schedule.first_token_s)
        self._note_first_token()
        ends_at = self.came_at + self.schedule.first_token_s + self.schedule.lasts_s
        if self.faults.stall_after is not None:
            ends_at += self.faults.stall_s
        if self.faults.error_after is not None:
            name = self.faults.error
            raise BedrockError(name[:1].upper() + name[1:])
        await _sleep_until(ends_at)
        if self.faults.cut_after is not None:
            self._cut()
            return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)  # never leaves
        self.call.output_tokens = self.answer.output_tokens
        self._end("completed")
        counts = {
            "X-Amzn-Bedrock-Input-Token-Count": str(self.answer.input_tokens),
            "X-Amzn-Bedrock-Output-Token-Count": str(self.answer.output_tokens),
            "X-Amzn-Bedrock-Invocation-Latency": str(self._timing().total_ms),
        }
        return web.Response(
            body=self.shape.whole(self.answer, self._timing()),
            content_type="application/json",
            headers={**self.headers, **counts},
        )

    async def send_stream(self) -> web.StreamResponse:
        """Answer in event-stream frames: a frame for each chunk of the schedule."""
        types = {"Content-Type": CONTENT_TYPE, "X-Amzn-Bedrock-Content-Type": "application/json"}
        response = web.StreamResponse(headers={**self.headers, **types})
        await response.prepare(self.request)
        first_at = self.came_at + self.schedule.first_token_s
        await _sleep_until(first_at)
        self._note_first_token()
        await response.write(self.shape.opening(self.answer))
        sent, stalled, stall_at = 0, 0.0, self._at(self.faults.stall_after)
        break_at = self._break_at()
        while True:
            if sent == stall_at:
                stalled, stall_at = self.faults.stall_s, None
                await asyncio.sleep(stalled)
            if sent == break_at:
                return await self._break_off(response)
            if sent == len(self.schedule.chunks):
                break
            until = min(
                at for at in (stall_at, break_at, len(self.schedule.chunks)) if at is not None
            )
            sent = await self._send_due(response, sent, until, first_at + stalled)
        await _sleep_until(first_at + stalled + self.schedule.lasts_s)
        self._end("completed")
        await response.write(self.shape.closing(self.answer, self._timing()))
        return response

    async def _send_due(
        self, response: web.StreamResponse, sent: int, until: int, first_at: float
    ) -> int:
        """Wait for the next chunk, send all that are due by then; return how many are sent."""
        interval = self.schedule.interval_s
        due_at = first_at + sent * interval
        now = _now()
        if due_at > now:
            least = self.ledger.in_flight * _WAKE_UP_S if sent else 0.0
            await asyncio.sleep(max(due_at - now, least))
            now = _now()
        frames = [self.shape.delta(self.schedule.chunks[sent])]
        while sent + len(frames) < until and first_at + (sent + len(frames)) * interval <= now:
            frames.append(self.shape.delta(self.schedule.chunks[sent + len(frames)]))
        await response.write(b"".join(frames))
        sent += len(frames)
        tokens = sent * self.schedule.tokens_per_chunk
        self.call.output_tokens = min(tokens, self.answer.output_tokens)
        return sent

    def _break_at(self) -> int | None:
        faults = (self.faults.error_after, self.faults.cut_after, self.faults.garble_after)
        return min((at for fault in faults if (at := self._at(fault)) is not None), default=None)

    def _at(self, after: int | None) -> int | None:
        """Return when a fault strikes: after the last chunk at the latest."""
        return None if after is None else min(after, len(self.schedule.chunks))

    async def _break_off(self, response: web.StreamResponse) -> web.StreamResponse:
        break_at = self._break_at()
        if self._at(self.faults.error_after) == break_at:
            name = self.faults.error
            self._end(f"error:{name}")
            payload = to_json(error_payload(name, usual_message(name)))
            await response.write(encode_exception(name, payload))
        elif self._at(self.faults.cut_after) == break_at:
            self._cut()
        else:
            self._end("error:garbled")
            await response.write(garble(self.shape.delta("garbled")))
        return response

    def _cut(self) -> None:
        """Drop the connection; what was written before still arrives, its end does not."""
        self._end("cut")
        if self.request.transport is not None:
            self.request.transport.close()

    def _note_first_token(self) -> None:
        self.call.first_token_at = time.time()

    def _end(self, outcome: str) -> None:
        # Before the last bytes leave: a caller who has read them finds the outcome in the ledger.
        self.ledger.end(self.call, outcome, at=time.time())

    def _timing(self) -> Timing:
        first_token_at = self.call.first_token_at or self.call.started_at
        return Timing(
            first_token_ms=round((first_token_at - self.call.started_at) * 1000),
            total_ms=round((_now() - self.came_at) * 1000),
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _sleep_until(at: float) -> None:
    if (delay := at - _now()) > 0:
        await asyncio.sleep(delay)

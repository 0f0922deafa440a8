"""Native answers that come as blocks of a message, Anthropic's and Amazon Nova's, put together."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Which member of an Anthropic delta is a piece of its block, by the delta's type.
_ADDED_BY = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


class _Blocks:
    """Content blocks by their index; the pieces of each member are joined once, at the end."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, object]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = defaultdict(list)

    def open(self, index: int, block: dict[str, object]) -> None:
        self._blocks[index] = dict(block)

    def add(self, index: int, member: str, piece: str) -> None:
        self._blocks.setdefault(index, {})
        self._pieces[index, member].append(piece)

    def whole(self) -> list[dict[str, object]]:
        for (index, member), pieces in self._pieces.items():
            block = self._blocks[index]
            block[member] = str(block.get(member, "")) + "".join(pieces)
        return [self._blocks[index] for index in sorted(self._blocks)]


def assemble_anthropic(documents: Sequence[Mapping[str, object]]) -> dict[str, object] | None:
    """Give the Message; None for an event or a delta that is newer than this code.

    Raises KeyError or ValueError where the pieces do not fit together.
    """
    message: dict[str, object] = {}
    usage: dict[str, object] = {}
    blocks = _Blocks()
    for document in documents:
        match document:
            case {"type": "message_start", "message": dict(opening)}:
                message, usage = dict(opening), dict(opening["usage"])
            case {"type": "content_block_start", "index": int(at), "content_block": dict(block)}:
                blocks.open(at, block)
            case {"type": "content_block_delta", "index": int(at), "delta": dict(delta)}:
                member = _ADDED_BY[delta["type"]]
                blocks.add(at, member, delta[member])
            case {"type": "message_delta", "delta": dict(delta), "usage": dict(last)}:
                message |= delta
                usage |= last
            case {"type": "content_block_stop" | "message_stop" | "ping"}:
                pass
            case _:
                return None
    content = [_anthropic_block(block) for block in blocks.whole()]
    return {**message, "content": content, "usage": usage}


def assemble_nova(documents: Sequence[Mapping[str, object]]) -> dict[str, object] | None:
    """Give the message with its reason and usage; None for what is newer than this code.

    Raises KeyError or ValueError where the pieces do not fit together.
    """
    told: dict[str, object] = {}
    blocks = _Blocks()
    for document in documents:
        match document:
            case {"contentBlockStart": {"start": {"toolUse": tool}, "contentBlockIndex": int(at)}}:
                blocks.open(at, {"toolUse": tool})
            case {
                "contentBlockDelta": {"delta": {"text": str(text)}, "contentBlockIndex": int(at)}
            }:
                blocks.add(at, "text", text)
            case {
                "contentBlockDelta": {
                    "delta": {"toolUse": {"input": str(piece)}},
                    "contentBlockIndex": int(at),
                }
            }:
                blocks.add(at, "input", piece)
            case {"messageStop": {"stopReason": reason}}:
                told["stopReason"] = reason
            case {"metadata": {"usage": usage}}:
                told["usage"] = usage
            case {"messageStart": _} | {"contentBlockStop": _}:
                pass
            case _:
                return None
    content = [_nova_block(block) for block in blocks.whole()]
    return {"output": {"message": {"content": content, "role": "assistant"}}, **told}


def _anthropic_block(block: dict[str, object]) -> dict[str, object]:
    if (written := block.pop("partial_json", None)) is not None:
        block["input"] = json.loads(str(written) or "{}")
    return block


def _nova_block(block: dict[str, object]) -> dict[str, object]:
    match block:
        case {"toolUse": dict(tool), "input": written}:
            return {"toolUse": {**tool, "input": json.loads(str(written) or "{}")}}
    return block

"""The AsyncAPI 3.0 document: what is said over WebSocket, SSE and webhooks.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. The actions are the server's own: it
receives what clients send. Schemas come from the models that read messages (socket_messages) or
describe them (the other `_models`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from web.close_codes import MEANINGS
from web.event_models import EVENTS
from web.message_models import ANSWERS
from web.schemas import ref, schemas_of
from web.socket_messages import Auth, Cancel, Ping, Subscribe, Unsubscribe
from web.webhook_models import Announcement, WebhookHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

_CLIENT_MESSAGES: Mapping[str, type[BaseModel]] = {
    "auth": Auth,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "cancel": Cancel,
    "ping": Ping,
}
_ANSWER_TO = {
    "auth": "authenticated",
    "subscribe": "subscribed",
    "unsubscribe": "unsubscribed",
    "cancel": "cancelled",
    "ping": "pong",
}
_WEBHOOK = "job.ended"
_INTRODUCTION = """\
Jobs are posted over HTTP; this is how their watchers are told.

A client keeps a job's text right with four rules: `job.started` and `job.retrying` empty it,
`job.delta` adds to it, `stream.gap` empties it, and a `result` in `job.completed` replaces it.
To come back, name the last `seq` that was seen: every event after it comes once and in order.
"""
_SOCKET = """\
JSON objects in text frames, 64 KiB at most, both ways. Who is calling is said by `Authorization`,
by a `ticket` of `POST /v1/ws-tickets`, or by `auth` as the first message within 10 seconds; where
the deployment welcomes callers without a credential, by nothing. While a socket watches no job by
name it is told the state events of all its user's jobs, without text. A close code says whether to
come back (`x-close-codes`); a connection that breaks without one was cut on its way: come back.
"""
_SSE = """\
Server-sent events: `data:` is one event as JSON, `id:` its `seq`; there is no `event:`. A browser
names the last `id:` as `Last-Event-ID` when it comes back, anyone may by `after`; the header
counts. The stream ends after the terminal event, and `204` answers whoever comes back after that.
One that ends without a terminal event means: come back.
"""
_TOLD = """\
The `webhook.url` of a job is posted this when the job has ended, at least once. `2xx` is success,
`410` ends the delivery, all else is tried again for more than three days.
"""


def describe_events(*, host: str, is_secure: bool) -> dict[str, Any]:
    """Write the document of the server that is reached by this host."""
    tail = "s" if is_secure else ""
    bearer, ticket = ref("securitySchemes", "bearer"), ref("securitySchemes", "ticket")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Longhaul", "version": "1", "description": _INTRODUCTION},
        "defaultContentType": "application/json",
        "servers": {
            "socket": {"host": host, "protocol": f"ws{tail}", "security": [bearer, ticket]},
            "http": {"host": host, "protocol": f"http{tail}", "security": [bearer]},
        },
        "channels": {
            "socket": _socket_channel(),
            "stream": _stream_channel(),
            "webhook": _webhook_channel(),
        },
        "operations": _operations(),
        "components": {
            "securitySchemes": _SECURITY,
            "messages": _messages(),
            "schemas": _schemas(),
        },
    }


_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "Authorization: Bearer <key>, for clients that can set headers",
    },
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "from POST /v1/ws-tickets, good for one socket within 60 seconds",
    },
}


def _socket_channel() -> dict[str, Any]:
    return {
        "address": "/v1/ws",
        "title": "WebSocket",
        "description": _SOCKET,
        "servers": [{"$ref": "#/servers/socket"}],
        "messages": _channel_messages([*_CLIENT_MESSAGES, *ANSWERS, *EVENTS]),
        "bindings": {
            "ws": {
                "method": "GET",
                "query": _object(ticket=_text("instead of Authorization")),
                "headers": {
                    "type": "object",
                    "properties": {
                        "Sec-WebSocket-Protocol": _text("longhaul.v1, for who wants to name one")
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-subprotocol": "longhaul.v1",
        "x-close-codes": [
            {
                "code": int(code),
                "name": code.name.lower(),
                "means": meaning.means,
                "reconnect": meaning.reconnect,
                "when": meaning.when,
            }
            for code, meaning in MEANINGS.items()
        ],
    }


def _stream_channel() -> dict[str, Any]:
    return {
        "address": "/v1/jobs/{job_id}/events",
        "title": "Server-sent events",
        "description": _SSE,
        "servers": [{"$ref": "#/servers/http"}],
        "parameters": {"job_id": {"description": "the job's id"}},
        "messages": _channel_messages(EVENTS),
    }


def _webhook_channel() -> dict[str, Any]:
    return {
        "address": None,
        "title": "Webhook",
        "description": _TOLD,
        "messages": _channel_messages([_WEBHOOK]),
    }


def _operations() -> dict[str, Any]:
    asked = {
        name: {
            "action": "receive",
            "channel": {"$ref": "#/channels/socket"},
            "messages": _of_channel("socket", [name]),
            "reply": {
                "channel": {"$ref": "#/channels/socket"},
                "messages": _of_channel("socket", [answer, "error"]),
            },
        }
        for name, answer in _ANSWER_TO.items()
    }
    return asked | {
        "tell": {
            "action": "send",
            "channel": {"$ref": "#/channels/socket"},
            "messages": _of_channel("socket", [*EVENTS, "error"]),
        },
        "stream": {
            "action": "send",
            "channel": {"$ref": "#/channels/stream"},
            "messages": _of_channel("stream", EVENTS),
            "bindings": {
                "http": {
                    "method": "GET",
                    "query": _object(after=_text("the `seq` of the last event that was seen")),
                    "bindingVersion": "0.3.0",
                }
            },
        },
        "announce": {
            "action": "send",
            "channel": {"$ref": "#/channels/webhook"},
            "messages": _of_channel("webhook", [_WEBHOOK]),
            "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
        },
    }


def _messages() -> dict[str, Any]:
    told = {**_CLIENT_MESSAGES, **ANSWERS, **{str(kind): model for kind, model in EVENTS.items()}}
    return {name: _message(name, model) for name, model in told.items()} | {
        _WEBHOOK: {
            **_message(_WEBHOOK, Announcement),
            "headers": ref("schemas", WebhookHeaders.__name__),
        }
    }


def _message(name: str, model: type[BaseModel]) -> dict[str, Any]:
    summary = (model.__doc__ or "").partition("\n")[0]
    return {"name": name, "summary": summary, "payload": ref("schemas", model.__name__)}


@cache
def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [*_CLIENT_MESSAGES.values(), *ANSWERS.values()]
    models += [*EVENTS.values(), Announcement, WebhookHeaders]
    return schemas_of(models)


def _channel_messages(names: Iterable[str]) -> dict[str, Any]:
    return {str(name): ref("messages", name) for name in names}


def _of_channel(channel: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "object", "properties": properties}


def _text(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}

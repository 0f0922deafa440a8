"""The root that gunicorn loads (`web.entry:app`): settings, logs, adapters, app."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from adapters.logs import configure_logs, get_log
from adapters.settings import read_settings
from adapters.traces import open_tracer
from adapters.web_metrics import WebMetrics
from adapters.wiring import open_web_parts
from jobs.job import ModelId
from web.app import create_app, hub_of
from web.limits import Limits
from web.metrics_routes import MetricsPort
from web.parts import WebhookTerms, WebLog, WebParts
from web.readiness import tell_what_is_away

if TYPE_CHECKING:
    from flask import Flask

    from adapters.settings import Settings


def open_app(settings: Settings) -> Flask:
    """Wire the process, and begin to listen to events."""
    metrics = WebMetrics(default_model=settings.default_model)
    configure_logs(settings, measure=metrics.measure)
    log = cast("WebLog", get_log())  # structlog's has every level
    tracer = open_tracer(settings, "web")
    adapters = open_web_parts(settings, tracer=tracer)
    app = create_app(
        WebParts(
            submit=adapters.submit,
            keyed=adapters.keyed,
            cancel=adapters.cancel,
            redrive=adapters.redrive,
            delete=adapters.delete,
            jobs=adapters.jobs,
            offer=adapters.offer,
            deliveries=adapters.deliveries,
            store=adapters.store,
            objects=adapters.objects,
            source=adapters.source,
            event_log=adapters.event_log,
            authenticator=adapters.authenticator,
            tickets=adapters.tickets,
            clock=adapters.clock,
            chance=adapters.chance,
            readiness=adapters.readiness,
            log=log,
            default_model=ModelId(settings.default_model),
            max_request_bytes=settings.max_request_bytes,
            url_lifetime=settings.url_lifetime,
            webhooks=WebhookTerms(
                are_signed=bool(settings.webhook_secrets),
                allow_loopback=settings.webhook_allow_loopback,
            ),
            push=settings.push,
            longest_retention=timedelta(days=settings.retention_days),
            allowed_origins=settings.allowed_origins,
            allowed_hosts=settings.allowed_hosts,
            limits=Limits(
                rates=adapters.rates,
                outage=adapters.rates_outage,
                calls=settings.rate_limit,
                submits=settings.submit_rate_limit,
            ),
            measures=metrics,
            tracer=tracer,
        )
    )
    if settings.metrics_port is not None:
        app.wsgi_app = MetricsPort(  # type: ignore[method-assign] # Flask's own way to wrap an app
            app.wsgi_app, port=settings.metrics_port, measures=metrics
        )
    hub_of(app).start()
    tell_what_is_away(adapters.readiness, log)
    return app


app = open_app(read_settings(os.environ))

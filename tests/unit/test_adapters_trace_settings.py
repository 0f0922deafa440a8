from pathlib import Path

import pytest
from opentelemetry import environment_variables as apis
from opentelemetry.sdk import environment_variables as sdks

from adapters.settings import read_settings
from jobs.errors import Misconfigured

NEEDED = {"REDIS_URL": "redis://127.0.0.1:6379/0", "LONGHAUL_BUCKET": "longhaul-results"}
OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ({}, None),
        ({f"{OTLP}ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({f"{OTLP}ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({f"{OTLP}ENDPOINT": "https://h/otlp"}, "https://h/otlp/v1/traces"),
        ({f"{OTLP}TRACES_ENDPOINT": "http://t:1/x"}, "http://t:1/x"),
        ({f"{OTLP}ENDPOINT": "http://c:4318", f"{OTLP}TRACES_ENDPOINT": "http://t"}, "http://t"),
        ({f"{OTLP}ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({f"{OTLP}ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": ""}, "http://c:4318/v1/traces"),
        ({f"{OTLP}ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
    ids=str,
)
def test_spans_go_where_the_standard_names_say(
    environ: pytest.MonkeyPatch, named: dict[str, str], url: str | None
) -> None:
    for name, value in named.items():
        environ.setenv(name, value)

    assert read_settings({}).traces_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{OTLP}ENDPOINT", "collector:4318"),
        (f"{OTLP}ENDPOINT", "grpc://c:4317"),
        (f"{OTLP}ENDPOINT", "http://c:port"),
        (f"{OTLP}TRACES_ENDPOINT", "nowhere"),
        (f"{OTLP}HEADERS", "api-key"),
        (f"{OTLP}PROTOCOL", "grpc"),
        (f"{OTLP}COMPRESSION", "zip"),
        (f"{OTLP}TIMEOUT", "soon"),
        (f"{OTLP}TRACES_HEADERS", "api-key"),
        (f"{OTLP}TRACES_PROTOCOL", "grpc"),
        (f"{OTLP}TRACES_COMPRESSION", "zip"),
        (f"{OTLP}TRACES_TIMEOUT", "0"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_PROPAGATORS", "tracecontext,b3multi"),
        ("OTEL_PROPAGATORS", "none"),
        ("OTEL_SDK_DISABLED", "perhaps"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_RESOURCE_ATTRIBUTES", "production"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
    ],
)
def test_what_is_mistyped_is_one_line_that_names_it(
    environ: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environ.setenv(name, value)

    with pytest.raises(Misconfigured) as refused:
        read_settings({})

    assert str(refused.value).startswith(f"{name}: ")
    assert "\n" not in str(refused.value)
    assert "api-key" not in str(refused.value)


@pytest.mark.parametrize("value", ["", "tracecontext,baggage", "xray", "xray, tracecontext"])
def test_propagators_that_are_ours_are_taken(environ: pytest.MonkeyPatch, value: str) -> None:
    environ.setenv("OTEL_PROPAGATORS", value)

    assert read_settings({}).otel_propagators


@pytest.mark.parametrize("signal", ["", "TRACES_"])
@pytest.mark.parametrize("file", ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"])
def test_a_certificate_that_is_not_there_is_refused_where_spans_are_sent(
    environ: pytest.MonkeyPatch, tmp_path: Path, signal: str, file: str
) -> None:
    name, path = f"{OTLP}{signal}{file}", tmp_path / "no.pem"
    environ.setenv(name, str(path))
    assert read_settings({}).traces_url is None

    environ.setenv(f"{OTLP}ENDPOINT", "https://c:4318")
    with pytest.raises(Misconfigured) as refused:
        read_settings({})
    assert str(refused.value) == f"{name}: must be a file that can be read, not {str(path)!r}"

    path.touch()
    assert read_settings({}).traces_url == "https://c:4318/v1/traces"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (f"{OTLP}ENDPONT", f"{OTLP}ENDPOINT"),
        (f"{OTLP}TRACE_ENDPOINT", f"{OTLP}TRACES_ENDPOINT"),
        (f"{OTLP}HEADER", f"{OTLP}HEADERS"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL_TRACE_SAMPLER", "OTEL_TRACES_SAMPLER"),
        ("OTEL_PROPAGATOR", "OTEL_PROPAGATORS"),
        ("OTEL_RESOURCE_ATRIBUTES", "OTEL_RESOURCE_ATTRIBUTES"),
    ],
)
@pytest.mark.usefixtures("environ")
def test_a_name_that_is_almost_one_of_opentelemetrys_is_refused(name: str, meant: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read_settings({name: "secret"})

    told = f"{name}: no such setting of OpenTelemetry's ({meant} is one)"
    assert str(refused.value) == told


OTHERS = [
    *(name.strip("_") for name in (*vars(sdks), *vars(apis)) if "OTEL_" in name),
    # Of the specification, of other languages, of its Kubernetes operator.
    "OTEL_LOGS_EXPORTER",
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE",
    "OTEL_EXPORTER_JAEGER_ENDPOINT",
    "OTEL_JAVA_ENABLED_RESOURCE_PROVIDERS",
    "OTEL_NODE_RESOURCE_DETECTORS",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
    "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED",
    "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
    "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
    # Kubernetes' own, of services called otel, otel-collector and otel-exporter.
    *(
        f"OTEL_{service}{fact}"
        for service in ("", "COLLECTOR_", "EXPORTER_", "EXPORTER_OTLP_")
        for fact in ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_4318_TCP", "PORT_4318_TCP_ADDR")
    ),
]


@pytest.mark.usefixtures("environ")
def test_names_that_are_somebody_elses_stop_nothing() -> None:
    assert read_settings(dict.fromkeys(OTHERS, "x")).traces_url is None

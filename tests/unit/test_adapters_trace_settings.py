import pytest

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
        ("OTEL_SDK_DISABLED", "perhaps"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_RESOURCE_ATTRIBUTES", "production"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
    ],
)
def test_what_is_mistyped_is_one_line_that_names_it_and_not_its_value(
    environ: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environ.setenv(name, value)

    with pytest.raises(Misconfigured) as refused:
        read_settings({})

    assert str(refused.value).startswith(f"{name}: ")
    assert "\n" not in str(refused.value)
    assert "api-key" not in str(refused.value)

import json
import os
from contextlib import suppress
from datetime import timedelta

import pytest
from pydantic.fields import FieldInfo

from adapters.settings import PREFIX, Settings, read_settings
from deploy.local.environment import REPO_ROOT
from jobs.delivery import SCHEDULE
from jobs.errors import Misconfigured
from jobs.rate import Quota
from jobs.receiver import DeliveryKind, PushTerms
from jobs.retry import DEFAULT_POLICY
from jobs.shards import Start

NEEDED = {"REDIS_URL": "redis://127.0.0.1:6379/0", "LONGHAUL_BUCKET": "longhaul-results"}
SECRET = "hunter2-hunter2-hunter2"
MAY_BE_SECRETS = {
    "REDIS_URL",
    "LONGHAUL_API_KEYS",
    "LONGHAUL_OIDC_ISSUER",
    "LONGHAUL_OIDC_JWKS_URL",
    "LONGHAUL_APIGATEWAY_ENDPOINT",
    "LONGHAUL_APIGATEWAY_CONNECTION_KEY",
}
# Of these every setting refuses one.
WRONG = ("no such value \u00fc", "x" * 5000, "", "-5", "/no/such/file")
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
PYDANTICS = ("nput should", "alidation", "tring should", "alue error", "valid integer", "pydantic")


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> "Environ":
    return Environ(monkeypatch)


class Environ:
    """The process's environment, with nothing of the machine's own settings in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._values: dict[str, str] = {}
        for name in list(os.environ):
            if name.upper().startswith(PREFIX) or name.upper() in {"REDIS_URL", "PORT"}:
                monkeypatch.delenv(name)

    def read(self, **values: str) -> Settings:
        """Read settings from what is needed and `values`."""
        self._values = NEEDED | values
        for name, value in self._values.items():
            self._monkeypatch.setenv(name, value)
        return read_settings(self._values)

    def refusal(self, **values: str) -> str:
        with pytest.raises(Misconfigured) as raised:
            self.read(**values)
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None  # pydantic's own error shows the values
        return str(raised.value)


def test_two_settings_are_needed_and_all_others_have_defaults(environ: Environ) -> None:
    settings = environ.read()

    assert settings.redis_url == NEEDED["REDIS_URL"]
    assert settings.bucket == NEEDED["LONGHAUL_BUCKET"]
    assert settings.table == "LLM_Jobs"
    assert settings.allow_anonymous is False
    assert settings.api_keys == {}
    assert settings.retry_policy == DEFAULT_POLICY
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.lease == timedelta(seconds=60)
    assert settings.patience == timedelta(minutes=10)
    assert settings.url_lifetime == timedelta(hours=1)
    assert settings.spool_dir is None
    assert (settings.log_format, settings.log_level) == ("json", "INFO")


def test_a_setting_that_is_missing_is_named(environ: Environ) -> None:
    with pytest.raises(Misconfigured) as raised:
        read_settings({})

    assert str(raised.value) == "REDIS_URL is not set; LONGHAUL_BUCKET is not set"
    assert environ.read().bucket == "longhaul-results"


def test_settings_are_read_from_their_variables(environ: Environ) -> None:
    settings = environ.read(
        PORT="8080",
        LONGHAUL_TABLE="Jobs.test-1",
        LONGHAUL_ALLOW_ANONYMOUS="true",
        LONGHAUL_LEASE_SECONDS="1.5",
        LONGHAUL_LOG_FORMAT="console",
    )

    assert settings.port == 8080
    assert settings.table == "Jobs.test-1"
    assert settings.allow_anonymous is True
    assert settings.lease == timedelta(seconds=1.5)
    assert settings.log_format == "console"


def test_api_keys_are_users_by_key(environ: Environ) -> None:
    settings = environ.read(
        LONGHAUL_API_KEYS=" ada:0123456789abcdef , bob:fedcba98:76543210,ada:another-key-of-ada, "
    )

    assert settings.api_keys == {
        "0123456789abcdef": "ada",
        "fedcba98:76543210": "bob",
        "another-key-of-ada": "ada",
    }


def test_limits_are_none_unless_they_are_named(environ: Environ) -> None:
    settings = environ.read(LONGHAUL_SUBMIT_RATE_LIMIT="none")
    assert (settings.rate_limit, settings.submit_rate_limit) == (None, None)
    assert settings.user_max_jobs_in_flight is None

    settings = environ.read(
        LONGHAUL_RATE_LIMIT="600/60",
        LONGHAUL_SUBMIT_RATE_LIMIT="60/3600",
        LONGHAUL_USER_MAX_JOBS_IN_FLIGHT="100",
    )
    assert settings.rate_limit == Quota(name="default", calls=600, window=timedelta(minutes=1))
    assert settings.submit_rate_limit == Quota(name="submit", calls=60, window=timedelta(hours=1))
    assert settings.user_max_jobs_in_flight == 100


def test_an_issuer_is_named_with_its_audience(environ: Environ) -> None:
    settings = environ.read(
        LONGHAUL_OIDC_ISSUER="https://issuer.example/", LONGHAUL_OIDC_AUDIENCE="longhaul"
    )
    assert (settings.oidc_user_claim, settings.oidc_scope_claim) == ("sub", "scope")
    assert settings.oidc_user_prefix == "oidc:"


def test_an_issuer_without_an_audience_is_refused(environ: Environ) -> None:
    assert "go together" in environ.refusal(LONGHAUL_OIDC_ISSUER="https://issuer.example")


def test_foreign_origins_are_named_one_by_one(environ: Environ) -> None:
    settings = environ.read(LONGHAUL_ALLOWED_ORIGINS="https://a.example, http://[::1]:5173,")

    assert settings.allowed_origins == {"https://a.example", "http://[::1]:5173"}


def test_own_hosts_are_named_without_ports(environ: Environ) -> None:
    settings = environ.read(
        LONGHAUL_ALLOWED_HOSTS="Dev.Example, longhaul_web, [FD00:0::1],10.0.0.7,"
    )

    assert settings.allowed_hosts == {"dev.example", "longhaul_web", "fd00::1", "10.0.0.7"}


def test_the_retry_policy_is_asls_own_list(environ: Environ) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]

    settings = environ.read(LONGHAUL_RETRY_POLICY=json.dumps(retry))

    assert settings.retry_policy.max_calls == 3


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://user:hunter2-hunter2-hunter2@host"),
        ("LONGHAUL_BUCKET", ""),
        ("LONGHAUL_BUCKET", "Hunter2_Hunter2"),
        ("LONGHAUL_TABLE", "hunter2 hunter2"),
        ("LONGHAUL_DEFAULT_MODEL", ""),
        ("LONGHAUL_ALLOW_ANONYMOUS", "hunter2"),
        ("LONGHAUL_API_KEYS", "hunter2-hunter2-hunter2"),
        ("LONGHAUL_API_KEYS", "ada:hunter2"),
        ("LONGHAUL_API_KEYS", ":hunter2-hunter2-hunter2"),
        ("LONGHAUL_API_KEYS", "ada:hunter2-hunter2-hunter2,bob:hunter2-hunter2-hunter2"),
        ("LONGHAUL_ALLOWED_ORIGINS", "hunter2.example"),
        ("LONGHAUL_ALLOWED_ORIGINS", "https://hunter2.example/page"),
        ("LONGHAUL_ALLOWED_ORIGINS", "*"),
        ("LONGHAUL_ALLOWED_HOSTS", "*"),
        ("LONGHAUL_ALLOWED_HOSTS", "hunter2.example:5000"),
        ("LONGHAUL_ALLOWED_HOSTS", "http://hunter2.example"),
        ("LONGHAUL_ALLOWED_HOSTS", "[hunter2]"),
        ("LONGHAUL_ALLOWED_HOSTS", "[::1"),
        ("LONGHAUL_ALLOWED_HOSTS", "hunter2..example"),
        ("LONGHAUL_HOST", ""),
        ("LONGHAUL_HOST", " "),
        ("LONGHAUL_HOST", "http://hunter2"),
        ("LONGHAUL_HOST", "[::1]"),
        ("LONGHAUL_METRICS_HOST", ""),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "hunter2"),
        ("LONGHAUL_DEFAULT_MODEL", "  "),
        ("LONGHAUL_DEFAULT_MODEL", "h\u00fcnter2"),
        ("LONGHAUL_OIDC_SCOPE_CLAIM", " "),
        ("LONGHAUL_OIDC_ISSUER", "http://hunter2.example"),
        ("LONGHAUL_OIDC_ISSUER", "hunter2"),
        ("LONGHAUL_OIDC_JWKS_URL", "ftp://hunter2.example/jwks"),
        ("LONGHAUL_OIDC_USER_PREFIX", "hunter2 hunter2"),
        ("LONGHAUL_OIDC_USER_CLAIM", ""),
        ("LONGHAUL_RATE_LIMIT", "hunter2"),
        ("LONGHAUL_RATE_LIMIT", "0/60"),
        ("LONGHAUL_RATE_LIMIT", "60/0"),
        ("LONGHAUL_RATE_LIMIT", "60/86401"),
        ("LONGHAUL_RATE_LIMIT", "60/60 "),
        ("LONGHAUL_SUBMIT_RATE_LIMIT", "60"),
        ("LONGHAUL_USER_MAX_JOBS_IN_FLIGHT", "0"),
        ("LONGHAUL_USER_MAX_JOBS_IN_FLIGHT", "10000000"),
        ("LONGHAUL_USER_MAX_JOBS_IN_FLIGHT", "hunter2"),
        ("LONGHAUL_USER_SHARE", "0"),
        ("LONGHAUL_USER_SHARE", "1.1"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "hunter2"),
        ("LONGHAUL_WEB_CONNECTIONS", "1"),
        ("LONGHAUL_MAX_REQUEST_BYTES", "12"),
        ("LONGHAUL_INLINE_PROMPT_BYTES", "131073"),
        ("LONGHAUL_INLINE_RESULT_BYTES", "-1"),
        ("LONGHAUL_URL_SECONDS", "604801"),
        ("LONGHAUL_RETENTION_DAYS", "0"),
        ("LONGHAUL_WORKER_CONCURRENCY", "0"),
        ("LONGHAUL_LEASE_SECONDS", "0.5"),
        ("LONGHAUL_LEASE_SECONDS", "nan"),
        ("LONGHAUL_LEASE_SECONDS", "inf"),
        ("LONGHAUL_PATIENCE_SECONDS", "-1"),
        ("LONGHAUL_DRAIN_SECONDS", "hunter2"),
        ("LONGHAUL_SPOOL_DIR", ""),
        ("LONGHAUL_SPOOL_DIR", "hunter2/hunter2"),
        ("LONGHAUL_BEDROCK_READ_TIMEOUT_SECONDS", "0"),
        ("LONGHAUL_RETRY_POLICY", "hunter2"),
        ("LONGHAUL_RETRY_POLICY", "{}"),
        ("LONGHAUL_RETRY_POLICY", '[{"ErrorEquals": []}]'),
        ("LONGHAUL_RETRY_POLICY", '[{"ErrorEquals": ["A"], "BackoffRate": NaN}]'),
        ("LONGHAUL_FEED_POLL_SECONDS", "0"),
        ("LONGHAUL_FEED_READS_PER_SECOND", "0"),
        ("LONGHAUL_FEED_START", "hunter2"),
        ("LONGHAUL_FEED_START", "latest"),
        ("LONGHAUL_FEED_BATCH", "0"),
        ("LONGHAUL_FEED_BATCH", "1001"),
        ("LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS", "0"),
        ("LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS", "-2"),
        ("LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS", "604801"),
        ("LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS", "hunter2"),
        ("LONGHAUL_EVENTBRIDGE_BUS", "hunter2 "),
        ("LONGHAUL_EVENTBRIDGE_BUS", ""),
        ("LONGHAUL_EVENTBRIDGE_BUS", "arn:aws:sqs:eu-central-1:123456789012:hunter2"),
        ("LONGHAUL_IOT_TOPIC", "hunter2"),
        ("LONGHAUL_IOT_TOPIC", "hunter2/#/{user}"),
        ("LONGHAUL_APIGATEWAY_ENDPOINT", "hunter2"),
        ("LONGHAUL_APIGATEWAY_ENDPOINT", "http://hunter2.example/prod"),
        ("LONGHAUL_APIGATEWAY_ENDPOINT", "https://hunter2.example/prod/@connections"),
        ("LONGHAUL_APIGATEWAY_ENDPOINT", "wss://hunter2.example/prod"),
        ("LONGHAUL_APIGATEWAY_CONNECTION_KEY", ""),
        ("LONGHAUL_APIGATEWAY_CONNECTION_KEY", "x" * 65),
        ("LONGHAUL_LOG_FORMAT", "hunter2"),
        ("LONGHAUL_LOG_LEVEL", "info"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variables_name_and_shown_unless_it_may_be_a_secret(
    environ: Environ, variable: str, value: str
) -> None:
    refusal = environ.refusal(**{variable: value})

    assert refusal.startswith(f"{variable}: ")
    if variable in MAY_BE_SECRETS:
        assert "hunter2" not in refusal.lower()
    else:
        assert refusal.endswith(f", not {value!r}")


def variable_of(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


@pytest.mark.parametrize("field", Settings.model_fields)
def test_what_is_wrong_with_any_setting_is_said_in_plain_words(
    environ: Environ, field: str
) -> None:
    variable = variable_of(field)
    refusals = []
    for value in WRONG:
        with suppress(pytest.fail.Exception):  # some take one of these
            refusals.append(environ.refusal(**{**COLLECTOR, variable: value}))

    assert refusals
    for refusal in refusals:
        assert variable in refusal
        assert not [words for words in PYDANTICS if words in refusal]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_the_documentation_says_what_any_number_may_be(field: str) -> None:
    bounds = range_of(Settings.model_fields[field])
    [row] = [
        line
        for line in (REPO_ROOT / "docs" / "operations.md").read_text().splitlines()
        if line.startswith("|") and f"`{variable_of(field)}`" in line.split(" | ")[0]
    ] or [""]

    if bounds is not None:
        assert bounds in row, variable_of(field)


def range_of(field: FieldInfo) -> str | None:
    """Say in the documentation's words what a number may be."""
    bounds = {type(one).__name__: one for one in field.metadata}
    if "Le" not in bounds:
        return None
    most = written(bounds["Le"].le)
    return f"{written(bounds['Ge'].ge)} to {most}" if "Ge" in bounds else f"{most} at most"


def written(number: float) -> str:
    if number != int(number):
        return f"{number:g}"
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= size and number % size == 0:
            return f"{int(number) // size} {unit}"
    return str(int(number))


@pytest.mark.parametrize("variable", ["LONGHAUL_TABEL", "LONGHAUL_PORT", "LONGHAUL_REDIS_URL"])
def test_a_variable_of_ours_that_nobody_knows_is_refused(environ: Environ, variable: str) -> None:
    assert environ.refusal(**{variable: SECRET}).startswith(f"{variable}: no such setting")


def test_who_mistypes_a_variable_is_told_which_one_there_is(environ: Environ) -> None:
    told = environ.refusal(LONGHAUL_TABEL=SECRET)

    assert told == "LONGHAUL_TABEL: no such setting (LONGHAUL_TABLE is one)"


def test_the_feed_begins_at_the_oldest_record_and_finds_none_too_old(environ: Environ) -> None:
    settings = environ.read()

    assert (settings.feed_start, settings.feed_batch) == (Start.TRIM_HORIZON, 1000)
    assert settings.feed_max_record_age is None


def test_the_feeds_options_are_in_lambdas_words(environ: Environ) -> None:
    settings = environ.read(
        LONGHAUL_FEED_START="LATEST",
        LONGHAUL_FEED_BATCH="10",
        LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS="3600",
    )

    assert (settings.feed_start, settings.feed_batch) == (Start.LATEST, 10)
    assert settings.feed_max_record_age == timedelta(hours=1)
    never = environ.read(LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS="-1")
    assert never.feed_max_record_age is None


def test_a_wrong_option_of_the_feed_is_told_with_what_is_right(environ: Environ) -> None:
    assert "'TRIM_HORIZON' or 'LATEST'" in environ.refusal(LONGHAUL_FEED_START="AT_TIMESTAMP")
    refusal = environ.refusal(LONGHAUL_FEED_MAX_RECORD_AGE_SECONDS="0")
    assert "-1 (never too old) or 1 to 604800" in refusal


def test_the_stand_ins_own_variables_are_no_mistake(environ: Environ) -> None:
    environ.read(LONGHAUL_PORT_BASE="5000", LONGHAUL_LOCAL_DIR=".local")


def test_everything_that_is_wrong_is_told_at_once(environ: Environ) -> None:
    refusal = environ.refusal(LONGHAUL_TABEL="x", PORT="x", LONGHAUL_LOG_LEVEL="x")

    assert [part.split(":")[0] for part in refusal.split("; ")] == [
        "LONGHAUL_TABEL",
        "PORT",
        "LONGHAUL_LOG_LEVEL",
    ]


WEBHOOK_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_webhooks_are_off_until_there_is_a_secret(environ: Environ) -> None:
    settings = environ.read()

    assert settings.webhook_secrets == ()
    assert settings.webhook_allow_loopback is False
    assert settings.webhook_schedule == SCHEDULE


def test_secrets_and_schedule_are_lists(environ: Environ) -> None:
    settings = environ.read(
        LONGHAUL_WEBHOOK_SECRETS=f"{WEBHOOK_SECRET}, {WEBHOOK_SECRET}",
        LONGHAUL_WEBHOOK_SCHEDULE="0,5, 300",
    )

    assert settings.webhook_secrets == (WEBHOOK_SECRET, WEBHOOK_SECRET)
    assert [wait.total_seconds() for wait in settings.webhook_schedule] == [0, 5, 300]


@pytest.mark.parametrize(
    "value", ["secret", "whsec_", "whsec_short", "whsec_" + "x" * 31, "whsec_" + "A" * 100]
)
def test_a_secret_that_is_none_is_refused_and_not_told(environ: Environ, value: str) -> None:
    told = environ.refusal(LONGHAUL_WEBHOOK_SECRETS=f"{WEBHOOK_SECRET},{value}")

    assert told.startswith("LONGHAUL_WEBHOOK_SECRETS")
    assert WEBHOOK_SECRET not in told


@pytest.mark.parametrize("value", ["", "5", "0,x", "0,-5", "0," * 20 + "0", "0,604801", "0,²"])
def test_a_schedule_that_is_none_is_refused(environ: Environ, value: str) -> None:
    assert "LONGHAUL_WEBHOOK_SCHEDULE" in environ.refusal(LONGHAUL_WEBHOOK_SCHEDULE=value)


STAGE = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod"


def test_only_webhooks_tell_of_ends_until_more_is_named(environ: Environ) -> None:
    assert environ.read().push == PushTerms()


def test_what_is_named_is_told(environ: Environ) -> None:
    settings = environ.read(
        LONGHAUL_EVENTBRIDGE_BUS="arn:aws:events:eu-central-1:123456789012:event-bus/ends",
        LONGHAUL_IOT_TOPIC="longhaul/{user}/jobs/{job}",
        LONGHAUL_APIGATEWAY_ENDPOINT=f"{STAGE}/",
        LONGHAUL_APIGATEWAY_CONNECTION_KEY="connection",
    )

    assert settings.apigateway_endpoint == STAGE
    assert settings.push == PushTerms(
        always=(DeliveryKind.EVENTBRIDGE, DeliveryKind.IOT), connection_key="connection"
    )


@pytest.mark.parametrize(
    "half",
    [
        {"LONGHAUL_APIGATEWAY_ENDPOINT": STAGE},
        {"LONGHAUL_APIGATEWAY_CONNECTION_KEY": "connection"},
    ],
)
def test_half_of_what_connections_need_is_refused(environ: Environ, half: dict[str, str]) -> None:
    refusal = environ.refusal(**half)

    assert "LONGHAUL_APIGATEWAY_ENDPOINT and LONGHAUL_APIGATEWAY_CONNECTION_KEY" in refusal


def test_the_clients_own_variables_are_no_mistake(environ: Environ) -> None:
    settings = environ.read(LONGHAUL_URL="http://127.0.0.1:5000", LONGHAUL_API_KEY="lh_key")

    assert settings.bucket == NEEDED["LONGHAUL_BUCKET"]

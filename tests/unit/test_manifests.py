"""The manifests say what the application is: settings, ports, paths, commands, roles, graces."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from adapters.metrics_ports import PORTS_ON
from adapters.settings import CLIENTS_OWN, STAND_INS_OWN, Settings, read_settings
from deploy.local.environment import REPO_ROOT, plan
from deploy.start import PROCESSES
from tests.cloudformation import Template, read_template
from tests.dockerfile import environment_of, only, read_stages, version
from tests.manifests import KUBERNETES, OVERLAYS, VARIANT, bytes_of, render, render_folder
from tests.pods import OF_TRACES, SECRET_VALUES, environ_of_pod, of_kind, pods, selects
from tests.stack import environ_of
from tests.web_world import World
from web.event_stream import COMMENT_SECONDS
from web.metrics_routes import PATH as METRICS_PATH
from web.routes import routes_of
from web.wire import PING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 2**20
BOTO3 = re.compile(r"AWS_(REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY|EC2_METADATA_DISABLED)")
ENDPOINT = re.compile(r"AWS_ENDPOINT_URL(_(DYNAMODB|DYNAMODB_STREAMS|S3|BEDROCK_RUNTIME))?")
STAND_INS = {"redis", "aws", "bedrock"}
# What a process needs beyond its drain: a worker to hand its jobs on, web to answer what it has
# begun, a feed to finish a batch.
MARGIN = 20
FEEDS_BATCH = 40  # three tries of 1.5 s and 10 s at the stream, and what follows
PROXIES_LEARN_IN = 10


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=list(PROCESSES))
def process(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def settings_of(overlay: str, process: str) -> Settings:
    image = environment_of(read_stages()[1])
    environ = {**image, **environ_of_pod(overlay, pods(overlay)[process])}
    with environ_of({name: environ[name] for name in environ if name != "PATH"}):
        return read_settings(environ)


def test_there_is_a_workload_a_process_and_a_stand_in() -> None:
    assert set(pods("aws")) == set(PROCESSES)
    assert set(pods("local")) == {*PROCESSES, *STAND_INS}


def test_each_runs_its_process_of_the_image(overlay: str, process: str) -> None:
    container = pods(overlay)[process].container

    assert container["args"] == [process]
    assert "command" not in container, "the image's entry chooses"


def test_the_image_is_this_versions() -> None:
    images = {pod.container["image"] for overlay in OVERLAYS for pod in pods(overlay).values()}

    assert {image.rpartition("/")[2] for image in images} == {
        f"longhaul:{version()}",
        f"longhaul-local:{version()}",
    }


def test_every_variable_is_known(overlay: str) -> None:
    fields = Settings.model_fields
    aliases = {str(field.validation_alias) for field in fields.values() if field.validation_alias}
    known = {f"LONGHAUL_{name.upper()}" for name in fields} | aliases | STAND_INS_OWN
    names = {name for pod in pods(overlay).values() for name in environ_of_pod(overlay, pod)}

    unknown = {
        name
        for name in names - known - CLIENTS_OWN
        if not (BOTO3.fullmatch(name) or ENDPOINT.fullmatch(name))
    }
    assert unknown == set()


def test_the_settings_take_what_each_process_is_given(overlay: str, process: str) -> None:
    settings = settings_of(overlay, process)  # one without a default that is not set raises

    assert settings.allow_anonymous is (overlay == "local")
    assert "AWS_REGION" in environ_of_pod(overlay, pods(overlay)[process])
    assert settings.host == settings.metrics_host == "0.0.0.0"  # noqa: S104 - a container's own


def test_each_process_has_the_secrets_that_it_needs_and_no_others() -> None:
    given = {
        name: {one["name"] for one in pod.container["env"] if "valueFrom" in one}
        for name, pod in pods("aws").items()
    }

    assert given == {
        "web": set(SECRET_VALUES),
        "worker": {"REDIS_URL", "LONGHAUL_WEBHOOK_SECRETS"},
        "feed": {"REDIS_URL"},
    }


def test_the_example_of_the_secret_has_these_names() -> None:
    example = (KUBERNETES / "overlays" / "aws" / "secrets.env.example").read_text()

    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == {*SECRET_VALUES, *OF_TRACES}
    assert "secrets.env" in (REPO_ROOT / ".gitignore").read_text().splitlines()


def test_no_key_is_in_what_runs_on_aws() -> None:
    text = str(render("aws"))

    assert of_kind("aws", "Secret") == []
    assert not re.search(r"AWS_(ACCESS|SECRET|SESSION)|AKIA|BEARER|whsec_", text)


def test_services_make_no_variables(overlay: str) -> None:
    """`LONGHAUL_X_SERVICE_HOST` is no setting, so a Service of that name would stop everything."""
    assert all(pod.spec["enableServiceLinks"] is False for pod in pods(overlay).values())


def test_ports_are_the_applications(overlay: str, process: str) -> None:
    settings, pod = settings_of(overlay, process), pods(overlay)[process]
    expected = {"metrics": (settings.metrics_port or 0) + PORTS_ON[process]}
    if process == "web":
        expected["http"] = settings.port

    assert pod.ports == expected
    assert str(settings.port) == only(read_stages()[1], "EXPOSE").rest


def test_web_is_asked_whether_it_serves_and_lives(overlay: str) -> None:
    probes = pods(overlay)["web"].probes
    paths = {name: probe["httpGet"] for name, probe in probes.items()}

    assert paths == {
        "startupProbe": {"path": "/healthz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
        "livenessProbe": {"path": "/healthz", "port": "http"},
    }
    served = {route.path for route in routes_of(World().app) if route.scope is None}
    assert {one["path"] for one in paths.values()} <= served
    assert probes["readinessProbe"]["timeoutSeconds"] > 2, "readiness takes its two seconds"


@pytest.mark.parametrize("process", ["worker", "feed"])
def test_a_worker_and_a_feed_are_asked_by_what_depends_on_nothing(
    overlay: str, process: str
) -> None:
    for probe in pods(overlay)[process].probes.values():
        assert probe["httpGet"] == {"path": METRICS_PATH, "port": "metrics"}


def test_patience_with_a_busy_process_is_longer_than_gunicorns_own(overlay: str) -> None:
    for process in PROCESSES:
        probe = pods(overlay)[process].probes["livenessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] > 60


def test_a_rollout_gives_each_process_its_time(overlay: str, process: str) -> None:
    settings, pod = settings_of(overlay, process), pods(overlay)[process]
    pause = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = {
        "web": max(5, math.ceil(settings.drain_seconds)),  # web/gunicorn.py's graceful_timeout
        "worker": settings.drain_seconds,
        "feed": FEEDS_BATCH,
    }[process]

    assert pause + drain + MARGIN <= pod.spec["terminationGracePeriodSeconds"]
    if process == "web":
        assert pause >= PROXIES_LEARN_IN
    else:
        assert pause == 0, "nothing is sent there, so there is nothing to wait for"
    if process == "worker":
        assert drain + 60 <= pod.spec["terminationGracePeriodSeconds"]


def test_a_new_pod_comes_before_an_old_one_goes(overlay: str, process: str) -> None:
    spec = pods(overlay)[process].manifest["spec"]

    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_memory_of_a_worker_holds_its_readers(overlay: str) -> None:
    settings, pod = settings_of(overlay, "worker"), pods(overlay)["worker"]
    limit = bytes_of(pod.container["resources"]["limits"]["memory"])
    request = bytes_of(pod.container["resources"]["requests"]["memory"])
    [tmp] = [one["emptyDir"] for one in pod.spec["volumes"] if one["name"] == "tmp"]

    assert request + settings.document_readers * settings.document_memory_bytes <= limit
    assert settings.document_readers * settings.max_upload_bytes <= bytes_of(tmp["sizeLimit"])


def test_pods_are_restricted(overlay: str) -> None:
    [namespace] = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    user = int(only(read_stages()[1], "USER").rest.split(":")[0])
    for pod in pods(overlay).values():
        context, own = pod.spec["securityContext"], pod.container["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] == user
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["readOnlyRootFilesystem"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {"name": "tmp", "mountPath": "/tmp"} in pod.container["volumeMounts"]  # noqa: S108 - the image's
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["serviceAccountName"] == pod.name


def test_everything_starts_denied_and_rules_name_ports_that_are_there(overlay: str) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(overlay, "NetworkPolicy")}

    assert policies.pop("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for spec in policies.values():
        chosen = [pod for pod in pods(overlay).values() if selects(spec["podSelector"], pod.labels)]
        assert chosen
        for rule in spec.get("ingress", ()):
            for port in rule["ports"]:
                assert all(port["port"] in pod.ports for pod in chosen)
        for rule in spec.get("egress", ()):
            assert {port["port"] for port in rule["ports"]} <= set(reached(overlay))


def reached(overlay: str) -> Iterator[int]:
    """The ports that a process has a reason to reach: DNS, and those that its addresses name."""
    yield 53
    for pod in pods(overlay).values():
        for value in environ_of_pod(overlay, pod).values():
            yield from map(int, re.findall(r"^\w+://[^/]*:(\d+)", value))
    if overlay == "aws":
        yield from (443, 6379)


def test_each_address_leads_to_a_service_and_its_port() -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind("local", "Service")}
    addresses = {
        value
        for process in PROCESSES
        for name, value in environ_of_pod("local", pods("local")[process]).items()
        if ENDPOINT.fullmatch(name)
    }
    [secret] = of_kind("local", "Secret")
    addresses.add(base64.b64decode(secret["data"]["REDIS_URL"]).decode())

    assert len(addresses) == 3
    for address in addresses:
        found = re.fullmatch(r"(http|redis)://(\w+):(\d+)(/0)?", address)
        assert found is not None
        [port] = services[found[2]]["ports"]
        assert port["port"] == int(found[3])
        assert pods("local")[found[2]].ports[port["targetPort"]] == int(found[3])


@pytest.mark.parametrize("name", sorted(STAND_INS))
def test_each_stand_in_runs_alone_and_listens_for_the_others(name: str) -> None:
    pod = pods("local")[name]
    image = dict(re.findall(r"(LONGHAUL_LOCAL_\w+)=(\S+)", _local_dockerfile()))
    decided = plan({**image, **environ_of_pod("local", pod)})

    assert [str(one) for one in decided.stand_ins] == [name]
    assert list(pod.ports.values()) == [decided.ports.of(decided.stand_ins[0])]
    assert decided.listen == "0.0.0.0"  # noqa: S104 - a container's own
    assert str(decided.data_dir) == "/data"
    assert {"name": "data", "mountPath": "/data"} in pod.container["volumeMounts"]


def test_roles_are_the_stacks_outputs() -> None:
    outputs = read_template()["Outputs"]
    roles = (KUBERNETES / "overlays" / "aws" / "roles.env").read_text()
    given = dict(line.split("=", 1) for line in roles.splitlines())

    assert set(given) == {name for name in outputs if name.endswith("Role")}
    for account in of_kind("aws", "ServiceAccount"):
        role = given[f"{account['metadata']['name'].capitalize()}Role"]
        assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == role


def test_each_service_account_may_take_its_own_role_and_no_other() -> None:
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/ABC"
    template = Template(given={"BucketName": "my-bucket", "OidcProvider": issuer})

    for account in of_kind("aws", "ServiceAccount"):
        name, namespace = account["metadata"]["name"], account["metadata"]["namespace"]
        role = template.resources[f"{name.capitalize()}Role"]["Properties"]
        [trust] = json.loads(role["AssumeRolePolicyDocument"])["Statement"]
        assert trust["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")
        assert trust["Condition"]["StringEquals"] == {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"system:serviceaccount:{namespace}:{name}",
        }


def test_the_stacks_environment_is_the_overlays() -> None:
    parts = str(read_template()["Outputs"]["Environment"])
    ours = (KUBERNETES / "overlays" / "aws" / "longhaul.env").read_text()

    assert set(re.findall(r"^(\w+)=", ours, re.MULTILINE)) <= set(re.findall(r"(\w+)=", parts))


def test_proxies_are_silent_for_longer_than_we_are() -> None:
    [ingress] = of_kind("aws", "Ingress")
    told = ingress["metadata"]["annotations"]
    idle = re.findall(
        r"timeout_seconds=(\d+)", told["alb.ingress.kubernetes.io/load-balancer-attributes"]
    )

    for seconds in (*idle, told["nginx.ingress.kubernetes.io/proxy-read-timeout"]):
        assert int(seconds) >= 4 * max(PING_SECONDS, COMMENT_SECONDS)
    [keep_alive] = re.findall(
        r"^keepalive = (\d+)$", (REPO_ROOT / "web" / "gunicorn.py").read_text(), re.MULTILINE
    )
    assert all(int(seconds) < int(keep_alive) for seconds in idle), "else a request is lost"
    body = told["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(body.removesuffix("m")) * MIB == Settings.model_fields["max_request_bytes"].default


def test_a_rollout_waits_for_the_load_balancer() -> None:
    [namespace] = of_kind("aws", "Namespace")

    gate = namespace["metadata"]["labels"]["elbv2.k8s.aws/pod-readiness-gate-inject"]
    assert gate == "enabled"


def test_own_settings_go_before_the_stacks(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "aws"
    (overlay / "own.env").write_text("LONGHAUL_RETENTION_DAYS=7\nLONGHAUL_LOG_LEVEL=DEBUG\n")

    [settings] = [
        one["data"]
        for one in render_folder(overlay)
        if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith("longhaul-")
    ]

    assert settings["LONGHAUL_RETENTION_DAYS"] == "7"
    assert settings["LONGHAUL_LOG_LEVEL"] == "DEBUG"
    assert settings["LONGHAUL_TABLE"] == "LLM_Jobs"


@pytest.mark.parametrize("process", list(PROCESSES))
def test_with_traces_each_process_sends_its_spans(process: str) -> None:
    settings = settings_of(VARIANT, process)

    assert settings.traces_url == "http://collector.observability.svc:4318/v1/traces"
    assert settings.otlp_headers == OF_TRACES["OTEL_EXPORTER_OTLP_HEADERS"]
    assert settings_of("aws", process).traces_url is None


def test_the_alerts_are_those_of_observability() -> None:
    """`make prometheus-rule` copies them."""
    rules = yaml.safe_load((REPO_ROOT / "deploy" / "observability" / "alerts.yml").read_text())
    [made] = of_kind("aws", "PrometheusRule")

    assert made["spec"] == rules


def _local_dockerfile() -> str:
    return (REPO_ROOT / "deploy" / "local" / "Dockerfile").read_text()

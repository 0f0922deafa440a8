"""Requests and limits come from what docs/kubernetes.md says was measured, and hold what is set."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from adapters.settings import Settings
from bench.processes_report import DOCUMENT, NAME, Figures, Plan, Reading, Results, section
from deploy.start import PROCESSES
from tests.manifests import OVERLAYS, bytes_of
from tests.pods import of_kind, pods

MIB = 2**20
CORE = 1000  # in the manifests' thousandths
ROUNDED_TO = 50
SPARE = 1.5  # of memory, for what no stand-in holds: longer texts, more sockets
SOCKET = 40 * 1024  # docs/benchmarks.md
FASTER = 2  # than the streams that were measured some models are
WORTH_A_POD = 0.1  # of a core
ROW = re.compile(
    r"^\| (\w+) \| (\d+) MiB \| (\d+) MiB \| (\d+)m \| (\d+)m \| (\d+) ms \|$", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Documented:
    """One row of the table."""

    idle_mib: int
    loaded_mib: int
    cpu_idle: int
    cpu_loaded: int
    milliseconds_a_job: int


def measured(text: str) -> dict[str, Documented]:
    rows = {name: [int(one) for one in others] for name, *others in ROW.findall(text)}
    return {
        name: Documented(
            idle_mib=one[0],
            loaded_mib=one[1],
            cpu_idle=one[2],
            cpu_loaded=one[3],
            milliseconds_a_job=one[4],
        )
        for name, one in rows.items()
    }


@pytest.fixture(scope="module")
def documented() -> dict[str, Documented]:
    [text] = re.findall(f"<!-- {NAME}: .*?<!-- end of {NAME} -->", DOCUMENT.read_text(), re.DOTALL)
    return measured(text)


def test_the_table_is_what_the_measurement_writes(documented: dict[str, Documented]) -> None:
    one = Figures(
        idle=Reading(mib=100.4, cpu_seconds=0.2),
        loaded=[Reading(mib=120, cpu_seconds=15), Reading(mib=110, cpu_seconds=12)],
    )
    plan = Plan(jobs=100, seconds=30, idle=20)

    text = section(Results(plan=plan, figures={"web": one}, took_seconds=[31, 44]))

    assert measured(text) == {
        "web": Documented(
            idle_mib=100, loaded_mib=120, cpu_idle=10, cpu_loaded=400, milliseconds_a_job=120
        )
    }
    assert plan.command in text
    assert list(documented) == list(PROCESSES)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_asks_for_what_it_was_measured_to_need(
    documented: dict[str, Documented], process: str
) -> None:
    found = documented[process]
    requests = pods("aws")[process].container["resources"]["requests"]

    # More than a core is of no use to one interpreter.
    cpu = min(CORE, -(-found.cpu_loaded // ROUNDED_TO) * ROUNDED_TO)
    assert cpu <= int(requests["cpu"].removesuffix("m")) <= min(CORE, 2 * cpu)
    memory = found.loaded_mib * MIB * SPARE
    assert memory <= bytes_of(requests["memory"]) <= 3 * memory


@pytest.mark.parametrize("process", PROCESSES)
def test_the_document_says_what_is_asked_for(process: str) -> None:
    resources = pods("aws")[process].container["resources"]
    asked = [resources["requests"]["cpu"], resources["requests"]["memory"]]

    row = " | ".join([process, *asked, resources["limits"]["memory"]])

    spaced = re.sub(r"(\d)([MG]i)\b", r"\1 \2", row)
    assert f"| {spaced} |" in DOCUMENT.read_text()


def test_the_limit_of_web_holds_all_sockets_that_it_takes(
    documented: dict[str, Documented],
) -> None:
    limit = bytes_of(pods("aws")["web"].container["resources"]["limits"]["memory"])
    sockets = Settings.model_fields["web_connections"].default
    assert documented["web"].loaded_mib * MIB + sockets * SOCKET <= limit


@pytest.mark.parametrize("process", PROCESSES)
def test_a_limit_of_memory_is_well_above_what_was_measured(
    documented: dict[str, Documented], process: str
) -> None:
    limit = bytes_of(pods("aws")[process].container["resources"]["limits"]["memory"])

    assert limit >= 3 * documented[process].loaded_mib * MIB


def test_a_worker_has_a_part_of_its_core_left_at_kedas_aim(
    documented: dict[str, Documented],
) -> None:
    [worker] = [
        one for one in of_kind("aws", "ScaledObject") if one["metadata"]["name"] == "worker"
    ]
    jobs = int(worker["spec"]["triggers"][0]["metadata"]["threshold"])

    used = jobs * documented["worker"].milliseconds_a_job / Plan.seconds / CORE
    assert FASTER * used <= 1, "it would renew its leases late"
    assert used >= WORTH_A_POD, "a fleet of many would have little to do"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_web_process_writes_its_heartbeat_to_memory(overlay: str) -> None:
    [tmp] = [one for one in pods(overlay)["web"].spec["volumes"] if one["name"] == "tmp"]

    assert tmp["emptyDir"]["medium"] == "Memory"


def test_a_laptop_is_not_asked_for_a_fleets_cores() -> None:
    asked = sum(
        (pod.manifest["spec"].get("replicas") or 1)
        * int(pod.container["resources"]["requests"]["cpu"].removesuffix("m"))
        for pod in pods("local").values()
    )

    assert asked <= CORE

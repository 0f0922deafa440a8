"""The alert rules and the dashboard: whoever is woken finds what to do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from adapters.line_meters import WAKING
from deploy.local.environment import REPO_ROOT

OPERATIONS = (REPO_ROOT / "docs" / "operations.md").read_text()
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((REPO_ROOT / "deploy/observability/alerts.yml").read_text())[
        "groups"
    ]
    for rule in group["rules"]
]
RULE_TESTS: dict[str, Any] = yaml.safe_load(
    (REPO_ROOT / "deploy/observability/alerts_test.yml").read_text()
)


def sections() -> dict[str, str]:
    """Give the runbook's text under each heading of an alert's name."""
    found = re.findall(
        r"^### (Longhaul\w+)\n\n(.+?)(?=^#|\Z)", OPERATIONS, re.MULTILINE | re.DOTALL
    )
    return dict(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_a_section_of_the_runbook(rule: dict[str, Any]) -> None:
    anchor = f"docs/operations.md#{rule['alert'].lower()}"

    assert rule["annotations"]["runbook"] == anchor
    assert len(sections()[rule["alert"]].split()) > 15
    assert rule["labels"]["severity"] in {"warning", "critical"}


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    assert set(sections()) == {rule["alert"] for rule in RULES}


def events_asked_for() -> set[str]:
    return {
        event
        for rule in RULES
        for group in re.findall(r'event=~?"([a-z_|]+)"', rule["expr"])
        for event in group.split("|")
    }


def test_warnings_that_rules_ask_for_are_logged_somewhere() -> None:
    sources = "\n".join(
        path.read_text()
        for folder in ("jobs", "adapters", "web", "workers")
        for path in (REPO_ROOT / folder).glob("*.py")
    )

    assert {event for event in events_asked_for() if f'"{event}"' not in sources} == set()


def test_the_first_warning_of_a_process_is_an_increase_as_the_second_is() -> None:
    assert set(WAKING) == events_asked_for()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_seen_to_fire_and_to_be_quiet(rule: dict[str, Any]) -> None:
    seen = [
        one["exp_alerts"]
        for test in RULE_TESTS["tests"]
        for one in test["alert_rule_test"]
        if one["alertname"] == rule["alert"]
    ]

    assert [] in seen, "it is never seen to be quiet"
    assert any(seen), "it is never seen to fire"


def test_the_dashboards_panels_have_each_a_place_and_a_question() -> None:
    dashboard = json.loads((REPO_ROOT / "deploy/observability/dashboard.json").read_text())
    panels = dashboard["panels"]
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(panels) == len(set(places))
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.topics import problem_with_template, write_topic
from jobs.job import JobId, UserId
from tests.builders import JOB_ID

TEMPLATE = "longhaul/{user}/jobs/{job}"
USERS = st.text(min_size=1).filter(lambda text: text.encode(errors="ignore").decode() == text)


@given(USERS)
def test_no_user_can_break_a_topic(name: str) -> None:
    topic = write_topic(TEMPLATE, user=UserId(name), job=JOB_ID)

    assert re.fullmatch(rf"longhaul/[^/+#$\s\0]+/jobs/{JOB_ID}", topic)


@given(USERS, USERS)
def test_two_users_never_share_a_topic(one: str, other: str) -> None:
    topics = {write_topic(TEMPLATE, user=UserId(name), job=JOB_ID) for name in (one, other)}

    assert len(topics) == len({one, other})


@pytest.mark.parametrize(
    ("user", "level"),
    [
        ("ann@example.com", "ann@example.com"),
        ("a/b", "a%2Fb"),
        ("+", "%2B"),
        ("#", "%23"),
        ("{job}", "%7Bjob%7D"),
        ("ü", "%C3%BC"),
    ],
)
def test_what_means_something_in_a_topic_is_encoded(user: str, level: str) -> None:
    topic = write_topic("t/{user}", user=UserId(user), job=JobId("job_1"))

    assert topic == f"t/{level}"


@pytest.mark.parametrize(
    "template", [TEMPLATE, "{user}", "a-{user}.{job}/x", "a/b/c/d/e/f/g/{user}"]
)
def test_a_template_that_fits(template: str) -> None:
    assert problem_with_template(template) is None


@pytest.mark.parametrize(
    "template",
    [
        "",
        "longhaul/jobs/{job}",
        "/{user}",
        "{user}/",
        "a//{user}",
        "$aws/{user}",
        "a/+/{user}",
        "a/#/{user}",
        "a/{user}/{name}",
        "a b/{user}",
        "a/{user}\n",
        "1/2/3/4/5/6/7/8/{user}",
        "x" * 128 + "{user}",
    ],
)
def test_a_template_that_does_not_fit_says_why(template: str) -> None:
    assert problem_with_template(template)

"""Topics of IoT Core: an operator's template, filled in so that no user can break it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from jobs.job import JobId, UserId

LONGEST_TOPIC_BYTES = 256  # AWS's
_MOST_SLASHES = 7  # AWS's
_LONGEST_TEMPLATE = 128
_USER, _JOB = "{user}", "{job}"
_LEVEL = r"([A-Za-z0-9_.:-]|\{user\}|\{job\})+"
_TEMPLATE = re.compile(rf"{_LEVEL}(/{_LEVEL})*")
_PLAIN = "@:"  # beside letters, digits and _.-~


def problem_with_template(template: str) -> str | None:
    """Say what is wrong with a template, or nothing."""
    found = {
        f"must be {_LONGEST_TEMPLATE} characters at most": len(template) > _LONGEST_TEMPLATE,
        "must be levels of letters, digits and _.:- with {user} and {job} in them, such as"
        " longhaul/{user}/jobs/{job}": not _TEMPLATE.fullmatch(template),
        # A user sees only their own jobs: a policy can tell topics apart by the user alone.
        "must have {user} in it": _USER not in template,
        f"must have {_MOST_SLASHES} slashes at most": template.count("/") > _MOST_SLASHES,
    }
    return next((problem for problem, is_so in found.items() if is_so), None)


def write_topic(template: str, *, user: UserId, job: JobId) -> str:
    """Fill a template in; what means something in a topic is percent-encoded: / + # and the like.

    Two users never share a topic. It may come out longer than AWS takes.
    """
    fields = {_USER: quote(user, safe=_PLAIN), _JOB: quote(job, safe=_PLAIN)}
    return re.sub(r"\{user\}|\{job\}", lambda match: fields[match[0]], template)

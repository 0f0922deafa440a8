"""Make the table and the bucket: `python -m deploy.local.bootstrap`, run by `local`.

A process of its own, so that the supervisor neither loads boto3 nor is deaf to a signal while a
store answers slowly.
"""

import os
import sys

from adapters.bootstrap import ensure_resources
from jobs.errors import LonghaulError


def main() -> int:
    """Print a line for each thing done; return 1 where it cannot be done."""
    try:
        lines = ensure_resources(os.environ)
    except LonghaulError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line in lines:
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

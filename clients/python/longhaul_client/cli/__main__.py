"""`python -m longhaul_client.cli`."""

import sys

from longhaul_client.cli.command import main

sys.exit(main())

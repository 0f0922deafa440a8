"""`longhaul`: submit jobs, watch them, come back to them, from a terminal or a script."""

from longhaul_client.cli.command import main

__all__ = ["main"]

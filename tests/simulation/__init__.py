"""A seeded simulation of jobs, workers, the sweep and all that breaks, on a virtual clock.

The code that runs is the product's: submit, run_job under the worker's Desk and RenewingLeases,
sweep, cancel, redrive, on MemoryJobStore. What is simulated is what lies around it: processes that
crash and stop, a broker that loses and doubles, a store that goes away or swallows answers, a model
that bills.

Every actor has a thread, but only the one that holds the baton runs. It gives the baton up at each
port call, and what goes on next is decided by virtual time and one random.Random(seed). So a seed
tells one story, always the same.
"""

from tests.simulation.faults import Design, Faults
from tests.simulation.judge import Story, simulate
from tests.simulation.records import RecordedStore

__all__ = ["Design", "Faults", "RecordedStore", "Story", "simulate"]

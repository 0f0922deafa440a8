"""WHAT Longhaul does: the job, its states, its verbs. Standard library only; no I/O, no clock."""

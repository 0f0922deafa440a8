"""`make demo`: one real job through the whole system, shown as it happens."""

"""The engine room: Celery's tasks and the change feed."""

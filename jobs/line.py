"""The line: tasks of one model that wait for a slot; its users take turns, each in its order."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.job import JobId, UserId
    from jobs.task import Task


@dataclass
class Line:
    """The user whose turn is next stands first."""

    _users: OrderedDict[UserId, OrderedDict[JobId, Task]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        """Count the tasks."""
        return sum(len(tasks) for tasks in self._users.values())

    def __contains__(self, task: Task) -> bool:
        """Tell whether the task's job stands in line."""
        return self.has_job_of(task.user, task.job_id)

    def has_job_of(self, user: UserId, job_id: JobId) -> bool:
        """Tell whether a user's job stands in line."""
        return job_id in self._users.get(user, ())

    def has_any_of(self, user: UserId) -> bool:
        """Tell whether the user has to wait behind tasks of their own."""
        return user in self._users

    def stand(self, task: Task) -> None:
        """Go to the end of the user's own line; a job that stands there keeps its place."""
        self._users.setdefault(task.user, OrderedDict())[task.job_id] = task

    def next(self, may_run: Callable[[UserId], bool]) -> Task | None:
        """Say whose turn it is, of the users who may run one more."""
        for user in list(self._users):
            if may_run(user):
                self._users.move_to_end(user, last=False)
                return next(iter(self._users[user].values()))
            self._users.move_to_end(user)
        return None

    def leave(self, task: Task) -> None:
        """Take a task whose turn has come; its user goes behind the others."""
        tasks = self._users[task.user]
        del tasks[task.job_id]
        self._users.move_to_end(task.user)
        if not tasks:
            del self._users[task.user]

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jobs.job import JobId, UserId
from jobs.line import Line
from jobs.task import Task
from tests.builders import NOW, a_job, a_task


def task_of(user: str, number: int) -> Task:
    return a_task(a_job(id=JobId(f"job_{number:026d}"), user=UserId(user)))


def everyone(_: UserId) -> bool:
    return True


def drain(line: Line) -> list[Task]:
    tasks = []
    while (task := line.next(everyone)) is not None:
        line.leave(task)
        tasks.append(task)
    return tasks


def test_users_take_turns_and_each_users_tasks_keep_their_order() -> None:
    line = Line()
    for number in range(4):
        line.stand(task_of("ada", number))
    line.stand(task_of("bob", 9))

    assert [task.job_id[-1] for task in drain(line)] == ["0", "9", "1", "2", "3"]
    assert len(line) == 0


def test_a_job_stands_in_line_once_and_keeps_its_place() -> None:
    line = Line()
    first = task_of("ada", 0)
    for task in (first, task_of("ada", 1), replace(first, enqueued_at=NOW)):
        line.stand(task)

    assert len(line) == 2
    assert [task.job_id for task in drain(line)] == [first.job_id, task_of("ada", 1).job_id]


def test_who_may_not_run_is_passed_over_and_stays() -> None:
    line = Line()
    line.stand(task_of("ada", 0))
    line.stand(task_of("bob", 1))

    task = line.next(lambda user: user != "ada")

    assert task == task_of("bob", 1)
    assert line.has_any_of(UserId("ada"))
    assert line.next(lambda _: False) is None
    assert task_of("ada", 0) in line
    assert task_of("cyd", 2) not in line


@given(owners=st.lists(st.sampled_from("abcd"), max_size=40))
def test_nobody_waits_for_more_than_one_turn_of_each_other_user(owners: list[str]) -> None:
    line = Line()
    for number, owner in enumerate(owners):
        line.stand(task_of(owner, number))

    turns = [task.user for task in drain(line)]

    assert Counter(turns) == Counter(owners)
    left = Counter(owners)
    for place, user in enumerate(turns):
        others = [other for other, count in left.items() if count and other != user]
        since = turns[max(0, place - len(others)) : place]
        assert user not in since or len(others) == 0
        left[user] -= 1

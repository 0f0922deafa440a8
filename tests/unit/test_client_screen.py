"""What the client's command shows, on a terminal and off it."""

from __future__ import annotations

import io

import pytest

from longhaul_client.cli.screen import Screen, bar, countdown, printable, table
from tests.stack import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_note_leaves_the_text_and_takes_the_moving_line_away() -> None:
    out, err = Terminal(), Terminal()
    screen = Screen(out, err, {})

    screen.moving(lambda: "waits")
    screen.text("Half a li")
    screen.note("gone")
    screen.text("ne\n")
    screen.close()

    assert out.getvalue() == "Half a line\n"
    moved, cleared, note = err.getvalue().partition("\r\x1b[2K\n")
    assert moved.endswith("\x1b[2mwaits\x1b[0m")
    assert cleared
    assert note == "\x1b[2mlonghaul: gone\x1b[0m\n"


def test_the_moving_line_is_drawn_again_and_again() -> None:
    err = Terminal()
    numbers = iter(range(1_000))
    screen = Screen(io.StringIO(), err, {"NO_COLOR": "1"})

    screen.moving(lambda: f"number {next(numbers)}")

    wait_until(lambda: "number 2" in err.getvalue(), "two more drawings")
    screen.close()
    assert err.getvalue().endswith("\r\x1b[2K")


def test_a_line_that_is_in_view_is_not_drawn_at_each_word_of_it() -> None:
    err = Terminal()
    drawn: list[int] = []

    def draw() -> str:
        drawn.append(1)
        return "line"

    screen = Screen(io.StringIO(), err, {})
    for _ in range(1_000):
        screen.moving(draw)
    screen.close()

    assert len(drawn) < 100


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_left_out_where_it_is_not_wanted(environ: dict[str, str]) -> None:
    err = Terminal()

    Screen(io.StringIO(), err, environ).note("red", "red")

    assert err.getvalue() == "longhaul: red\n"


def test_off_a_terminal_nothing_moves_and_the_last_line_is_ended() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(out, err, {})

    screen.moving(lambda: "waits")
    screen.text("no end of line")
    screen.note("note")
    screen.close()

    assert out.getvalue() == "no end of line\n"
    assert err.getvalue() == "longhaul: note\n"


def test_a_terminals_last_line_is_ended() -> None:
    out = Terminal()
    screen = Screen(out, Terminal(), {})

    screen.text("no end of line")
    screen.close()

    assert out.getvalue() == "no end of line\n"


def test_what_a_server_says_does_not_steer_the_terminal() -> None:
    assert printable("a\x1b[2J\nb") == "a?[2J?b"
    assert table([("A", "BB"), ("a\x07c", "b")]) == ["A    BB", "a?c  b"]


def test_a_models_text_does_not_steer_the_terminal_and_stays_as_it_is_elsewhere() -> None:
    said = "a\tb\u200d\u3000é\x1b[2J\x9b1m\r\n"
    terminal, pipe = Terminal(), io.StringIO(newline="")

    Screen(terminal, io.StringIO(), {}).text(said)
    Screen(pipe, io.StringIO(), {}).text(said)

    assert terminal.getvalue() == "a\tb\u200d\u3000é?[2J?1m?\n"
    assert pipe.getvalue() == said


def test_lines_are_coloured_on_a_terminal_alone() -> None:
    terminal, pipe = Terminal(), io.StringIO()

    for out in (terminal, pipe):
        Screen(out, Terminal(), {}).line("job_1  FAILED", "red")

    assert terminal.getvalue() == "\x1b[31mjob_1  FAILED\x1b[0m\n"
    assert pipe.getvalue() == "job_1  FAILED\n"


@pytest.mark.parametrize(
    ("done", "total", "drawn"),
    [
        (0, 4, "[........................]   0%"),
        (1, 4, "[######..................]  25%"),
        (4, 4, "[########################] 100%"),
        (9, 4, "[########################] 100%"),
        (0, 0, "[########################] 100%"),
    ],
)
def test_a_bar_shows_how_much_is_done(done: int, total: int, drawn: str) -> None:
    assert bar(done, total) == drawn


def test_a_countdown_never_stays_at_0_and_says_what_comes_then() -> None:
    assert countdown("again in", 0.9, then="about to begin")() == "again in 1 s"
    assert countdown("again in", 0, then="about to begin")() == "about to begin"

"""A benchmark's command line: what cannot be is refused before anything runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import pytest

from bench.flags import Flags, amount, count, document, folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_a_count_is_a_whole_number_of_at_least_one(text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        count(text)
    assert count("1") == 1


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "inf", "long"])
def test_an_amount_is_above_nought_and_has_an_end(text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        amount(text)
    assert amount("0.5") == 0.5


def test_a_document_is_a_file_in_a_folder_that_is_there(tmp_path: Path) -> None:
    assert document(str(tmp_path / "own.md")) == tmp_path / "own.md"
    for refused in (tmp_path, tmp_path / "none" / "own.md"):
        with pytest.raises(argparse.ArgumentTypeError):
            document(str(refused))


def test_a_folder_is_there_or_can_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    for refused in (file, file / "below"):
        with pytest.raises(argparse.ArgumentTypeError):
            folder(str(refused))


def test_ctrl_c_is_a_word_and_all_else_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    Flags("bench.any", "Measures.")

    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "interrupted; nothing was written\n"

    sys.excepthook(ValueError, ValueError("ours"), None)
    assert "ValueError: ours" in capsys.readouterr().err


def test_no_flag_may_be_cut_short() -> None:
    parser = Flags("bench.any", "Measures.")
    parser.add_argument("--rounds", type=count)

    with pytest.raises(SystemExit):
        parser.parse_args(["--round", "1"])

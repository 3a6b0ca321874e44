"""`mathcode execute` keeps its contract: one row for each program, in order, with the words of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from mathcode_assets.cli import main
from mathcode_assets_tests.cli.test_stages import read, write

COLUMNS = ["id", "status", "stdout", "stderr", "exit_code", "wall_s", "tier", "detail"]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.zst", "parquet"])
def test_rows_and_words(tmp_path: Path, ending: str) -> None:
    codes = {
        "print(1 / 3)": "ok",
        "1 / 0": "error",
        "import sys; sys.exit(2)": "exit",
        "import os; os.abort()": "signal",
        "while True: pass": "timeout",
        "while True: print('more')": "output_limit",
        "#" * (2 << 20): "rejected",
    }
    source = write(tmp_path / f"in.{ending}", [{"id": number, "code": code} for number, code in enumerate(codes)])
    target = tmp_path / f"out.{ending}"
    assert main(["execute", "--input", str(source), "--output", str(target), "--timeout", "1.5", "--workers", "2"]) == 0
    rows = read(target)
    assert [(row["id"], row["status"]) for row in rows] == list(enumerate(codes.values()))
    assert all(list(row) == COLUMNS for row in rows)
    assert rows[0]["stdout"] == "0.3333333333333333\n"
    assert [row["exit_code"] for row in rows] == [0, 1, 2, -6, None, None, None]
    assert "ZeroDivisionError" in rows[1]["stderr"]
    assert {row["tier"] for row in rows[:-1]} <= {"namespace", "landlock"}


def test_what_is_not_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(
        b'{"id": "a", "code": "print(1)", "language": null}\n'
        b'{"id": 7, "code": "disp(1)", "language": "fortran"}\n'
        b'{"id": 8, "code": "print(\'\\ud800\')"}\n'
        b'{"id": 9}\n'
        b'{"id": 10, "code": 5}\n'
    )
    target = tmp_path / "out.jsonl"
    assert main(["execute", "--input", str(source), "--output", str(target)]) == 1
    rows = read(target)
    assert [(row["id"], row["status"]) for row in rows] == [("a", "ok"), (7, "rejected"), (8, "rejected")]
    assert "fortran" in rows[1]["detail"]
    assert "surrogate" in rows[2]["detail"]
    assert "2 records quarantined" in capsys.readouterr().err


def test_bad_usage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["execute", "--input", str(tmp_path / "none.jsonl"), "--output", str(tmp_path / "out.jsonl")]
    assert main(arguments) == 2
    assert main([*arguments, "--timeout", "0"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2

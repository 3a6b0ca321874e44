"""A few items of each benchmark in the field names of the local files, written for the tests."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = [
    {"question": "A tray holds 12 eggs. How many eggs do 4 trays hold?", "answer": "48"},
    {"question": "Oda reads 15 pages a day.\u2028How many pages does she read in a week?", "answer": "105"},
    {"question": "Half of {{the}} 90 seats are taken. How many are free?", "answer": "45"},
]
FORMULAS = [
    {"idx": 7, "question": "What is $\\frac{1}{4} + \\frac{1}{2}$?", "answer": "\\frac{3}{4}"},
    {"idx": 9, "question": "Solve $x^2 = 49$ for $x > 0$.", "answer": "7"},
]
OLYMPIAD = [{"question": "Find all real $x$ with $x^2 = 4$.", "answer": ["$-2$", "$2$"]}]
OPTIONS = [
    {"question": "What is $7 \\cdot 8$?", "answer": "B", "options": "A) $54$ B) $56$ C) $63$ D) $64$"},
    {"question": "Which is prime?", "answer": "D", "options": "A. 21 B. 27 C. 33 D. 37"},
]
CHOICES = [{"question": "What is 3 squared?", "answer": 2, "choices": ["6", "8", "9", "12"]}]
HUMANEVAL = [
    {
        "question": 'def triple(n):\n    """Three times n."""\n',
        "answer": "    return 3 * n\n",
        "task_id": "HumanEval/0",
        "test": "def check(candidate):\n    assert candidate(2) == 6\n",
        "entry_point": "triple",
    }
]
MBPP = [
    {
        "question": "Write a function to triple a number.",
        "answer": "def triple(n):\n    return 3 * n",
        "task_id": 2,
        "test_list": ["assert triple(2) == 6", "assert triple(0) == 0"],
    }
]

FILES = {
    "gsm8k": WORDS,
    "svamp": WORDS,
    "math": FORMULAS,
    "ocw": FORMULAS,
    "olympiadbench": OLYMPIAD,
    "sat_math": OPTIONS,
    "mmlu_math": CHOICES,
    "humaneval": HUMANEVAL,
    "mbpp": MBPP,
}


def write_benchmarks(folder: Path) -> Path:
    """Write every file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in FILES.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder

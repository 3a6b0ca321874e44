r"""Which answers count as right."""

from __future__ import annotations

import json

from mathcode_assets.evaluation.items import Item
from mathcode_assets.evaluation.judging import CheckedProgram, Pair, judge_answers, judge_letters, judge_programs
from mathcode_assets.evaluation.programs import (
    evalplus_command,
    evalplus_id,
    passed_mark,
    program_of,
    solution_of,
    write_evalplus_samples,
)
from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.sandbox.snippets import Limits

RIGHT = [
    ("18", "18"),
    ("18", "18.0"),
    ("1080", "1,080"),
    ("18", "$18 per day"),
    ("5", "5 apples"),
    ("\\frac{1}{2}", "\\dfrac12"),
    ("\\frac{1}{2}", "0.5"),
    ("\\frac65", "1\\frac{1}{5}"),
    ("\\left(-\\tfrac52, -\\tfrac52\\right)", "(-2.5, -2.5)"),
    ("4\\sqrt{13}", "\\sqrt{208}"),
    ("(-\\infty,4)", "x < 4"),
    ("\\begin{pmatrix} -3 \\\\ 2 \\end{pmatrix}", "\\begin{bmatrix}-3\\\\2\\end{bmatrix}"),
    ("-\\frac{3}{2}, -1, 7", "7, -1, -1.5"),
    ("\\$15.48", "15.48"),
    ("45^\\circ", "45"),
    ("x^2 + 2x + 1", "(x+1)^2"),
    ("y = 2x + 1", "y = 1 + 2x"),
    ("1200_7", "1200_7"),
    ("2RC+R+C", "2RC+R+C"),
    ("3e6", "3 \\times 10^6"),
    ("\\text{Evelyn}", "Evelyn"),
    ("$-2$, $2$", "2, -2"),
    ("$\\frac{1}{2}$ or $3$", "$3$ and $0.5$"),
]
WRONG = [
    ("18", "17"),
    ("18", "181"),
    ("18", ""),
    ("18", "I do not know"),
    ("0.001", "0.009"),
    ("\\frac{1}{3}", "0.9"),
    ("(1, 2)", "(2, 1)"),
    ("x^2", "2x"),
    ("\\sqrt{2}", "\\sqrt{3}"),
    ("(0, 1)", "[0, 2]"),
    ("\\text{Evelyn}", "Briana"),
    ("$-2$, $2$", "2"),
    ("2", "-2, 2"),
    ("5", "__import__('os').getpid()"),
]


def test_right_answers_are_verified() -> None:
    found = judge_answers(Pair(gold=gold, answer=answer) for gold, answer in RIGHT)
    missed = [
        (pair, comparison.method)
        for pair, comparison in zip(RIGHT, found, strict=True)
        if comparison.verdict != VERIFIED
    ]
    assert not missed


def test_wrong_answers_are_not() -> None:
    found = judge_answers(Pair(gold=gold, answer=answer) for gold, answer in WRONG)
    assert not [pair for pair, comparison in zip(WRONG, found, strict=True) if comparison.verdict == VERIFIED]


def test_one_hostile_answer_costs_only_itself() -> None:
    hostile = ["9" * 900 + "^{" * 40, "\\frac{" * 400, "2^{2^{2^{2^{2^{2^9}}}}}", "\ud800", "\x00" * 1000]
    pairs = [Pair(gold="x^2+1", answer=answer) for answer in hostile] + [Pair(gold="\\frac12", answer="0.5")]
    found = judge_answers(pairs)
    assert len(found) == len(pairs)
    assert VERIFIED not in {comparison.verdict for comparison in found[:-1]}
    assert found[-1].verdict == VERIFIED


def test_letters() -> None:
    found = judge_letters([Pair(gold="A", answer="A"), Pair(gold="A", answer="B"), Pair(gold="A", answer="")])
    assert [comparison.verdict for comparison in found] == [VERIFIED, REFUTED, UNVERIFIABLE]


HUMAN = Item(
    benchmark="humaneval",
    question_index=0,
    question='def double(n):\n    """Twice n."""',
    answer="    return 2 * n\n",
    tests="def check(candidate):\n    assert candidate(2) == 4\n\ncheck(double)\n",
    entry_point="double",
    task_id="HumanEval/0",
)
BASIC = Item(
    benchmark="mbpp",
    question_index=0,
    question="Write a function to double a number.",
    answer="",
    tests="assert double(2) == 4\n",
    task_id="2",
)


PROGRAMS = [
    (HUMAN, "    return 2 * n\n", VERIFIED),
    (HUMAN, "    return n + n\n\nprint(double('x'))\n", VERIFIED),
    (HUMAN, "    return n + 1\n", REFUTED),
    (HUMAN, "\ndef double(n):\n    return n + n\n", VERIFIED),
    (HUMAN, "    return n + n\n\ndef another(n):\n    return (n", VERIFIED),
    (HUMAN, "```python\ndef double(n):\n    return n * 2\n```\nIt doubles.", VERIFIED),
    (HUMAN, "    import sys; sys.exit(0)\n", REFUTED),
    (HUMAN, "    pass\nimport os\nos._exit(0)\n", REFUTED),
    (HUMAN, "    while True: pass\n", REFUTED),
    (HUMAN, "", REFUTED),
    (BASIC, "def double(n):\n    return helper(n)\n\ndef helper(n):\n    return 2 * n\n", VERIFIED),
    (BASIC, "def double(n):\n    return 3 * n\n", REFUTED),
    (BASIC, "def double(n):\n    return 2 * n\n\ndef more(n):\n    return sum(i for", VERIFIED),
    (BASIC, "this is no program", REFUTED),
]


def test_programs_pass_by_their_tests_alone() -> None:
    programs = [
        CheckedProgram(code=program_of(item, completion), mark=passed_mark(item, completion))
        for item, completion, _ in PROGRAMS
    ]
    found = judge_programs(programs, limits=Limits(wall_s=2, cpu_s=2), n_workers=1)
    assert [comparison.verdict for comparison in found] == [verdict for _, _, verdict in PROGRAMS], found


def test_evalplus_gets_solutions_and_its_own_interpreter(tmp_path) -> None:
    samples = tmp_path / "samples.jsonl"
    assert (
        write_evalplus_samples(samples, [(HUMAN, "    return 2 * n\n"), (BASIC, "def double(n): return 2 * n\n")]) == 2
    )
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["HumanEval/0", "Mbpp/2"] == [evalplus_id(HUMAN), evalplus_id(BASIC)]
    assert rows[0]["solution"] == solution_of(HUMAN, "    return 2 * n\n")
    compile(rows[0]["solution"], "solution", "exec")
    command = evalplus_command("mbpp", samples, python="/envs/evalplus/bin/python", tests=tmp_path / "MbppPlus.jsonl")
    assert command.arguments[:5] == ("/envs/evalplus/bin/python", "-m", "evalplus.evaluate", "--dataset", "mbpp")
    assert command.environment["MBPP_OVERRIDE_PATH"].endswith("MbppPlus.jsonl")

"""What GNU Octave prints, against stated results; outputs written down, and printed by Octave itself where it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.sandbox.pool import Sandbox, SandboxConfig
from mathcode_assets.sandbox.snippets import Snippet
from mathcode_assets.verification.compare import compare
from mathcode_assets.verification.isolated import Claim, quick_verdict
from mathcode_assets.verification.printed import read_output
from mathcode_assets.verification.printed_octave import prints_other_digits
from mathcode_assets.verification.values import Unreadable

# A program, what version 7 prints of it, a stated result, and the verdict.
PAIRS = [
    ("6 * 7", "ans = 42\n", "42", VERIFIED),
    ("6 * 7", "ans = 42\n", "43", REFUTED),
    ("x = 1/3", "x = 0.3333\n", "0.333", VERIFIED),
    ("x = 1/3", "x = 0.3333\n", "0.3333", VERIFIED),
    ("x = 1/3", "x = 0.3333\n", r"\frac{1}{3}", UNVERIFIABLE),
    ("x = 1/3", "x = 0.3333\n", "0.33333333", UNVERIFIABLE),
    ("x = 1/3", "x = 0.3333\n", r"\frac{1}{4}", REFUTED),
    ("format long; x = 1/3", "x = 0.333333333333333\n", r"\frac{1}{3}", VERIFIED),
    ('printf("%.12f\\n", 1/3)', "0.333333333333\n", r"\frac{1}{3}", VERIFIED),
    ("x = 1/2", "x = 0.5000\n", "0.5", VERIFIED),
    ("disp(1e-3)", "1.0000e-03\n", "0.001", VERIFIED),
    ("disp(pi)", "3.1416\n", "3.14", VERIFIED),
    ("disp(pi)", "3.1416\n", r"\pi", UNVERIFIABLE),
    ("x = 100000", "x = 100000\n", "100000", VERIFIED),
    # Rounded to five digits: not every integer is told from its neighbours.
    ("x = 100000.5", "x = 1.0000e+05\n", "100000", UNVERIFIABLE),
    ("x = 100003.5", "x = 1.0000e+05\n", "100000", UNVERIFIABLE),
    ("x = -100000.5", "x = -1.0000e+05\n", "-100000", UNVERIFIABLE),
    ("disp(100000.5)", "1.0000e+05\n", "100000", UNVERIFIABLE),
    ("x = 100000.5", "x = 1.0000e+05\n", "200000", REFUTED),
    ("factorial(20)", "ans = 2.4329e+18\n", "2432902008176640000", UNVERIFIABLE),
    ("A = [1 2; 3 4]", "A =\n\n   1   2\n   3   4\n\n", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", VERIFIED),
    ("A = [1 2; 3 4]", "A =\n\n   1   2\n   3   4\n\n", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}", REFUTED),
    ("disp([1 2; 3 4])", "   1   2\n   3   4\n", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", VERIFIED),
    ("disp(mat2str([1 2; 3 4]))", "[1 2;3 4]\n", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", VERIFIED),
    (
        "A = inv([1 2; 3 4])",
        "A =\n\n  -2.0000   1.0000\n   1.5000  -0.5000\n\n",
        r"\begin{pmatrix}-2&1\\1.5&-0.5\end{pmatrix}",
        VERIFIED,
    ),
    (
        "A = 2 * eye(2)",
        "A =\n\nDiagonal Matrix\n\n   2   0\n   0   2\n\n",
        r"\begin{pmatrix}2&0\\0&2\end{pmatrix}",
        VERIFIED,
    ),
    ("x = roots([1 -5 6])", "x =\n\n   3\n   2\n\n", "x = 2, x = 3", VERIFIED),
    ("x = roots([1 -5 6])", "x =\n\n   3\n   2\n\n", "x = 2, x = 4", REFUTED),
    ("x = [1 -2.5]", "x =\n\n   1.0000  -2.5000\n\n", "(1, -2.5)", VERIFIED),
    # No difference: two numbers beside each other.
    ("disp([1 -2.5])", "   1.0000  -2.5000\n", "-1.5", UNVERIFIABLE),
    ('printf("%d %d\\n", 2, -3)', "2 -3\n", "-1", UNVERIFIABLE),
    ("z = 3 + 4i", "z =  3 + 4i\n", "3+4i", VERIFIED),
    ("z = (1 + 3i) / 3", "z =  0.3333 + 1.0000i\n", r"\frac{1}{3}+i", UNVERIFIABLE),
    ("z = [1+2i 3-4i]", "z =\n\n   1 + 2i   3 - 4i\n\n", "1+2i, 3-4i", VERIFIED),
    ("disp([1+2i 3-4i])", "   1 + 2i   3 - 4i\n", "4-2i", UNVERIFIABLE),
    ("x = 1/0", "x = Inf\n", r"\infty", VERIFIED),
    ("x = -1/0", "x = -Inf\n", r"-\infty", VERIFIED),
    ("x = 0/0", "x = NaN\n", "0", UNVERIFIABLE),
    ("x = [1 NaN]", "x =\n\n     1   NaN\n\n", "(1, 0)", UNVERIFIABLE),
    ("x = []", "x = [](0x0)\n", "0", UNVERIFIABLE),
    ("x = true", "x = 1\n", "1", VERIFIED),
    ("x = int8(200)", "x = 127\n", "200", REFUTED),
    ("a = 1, b = 2", "a = 1\nb = 2\n", "a = 1, b = 2", VERIFIED),
    ("c = {1}", "c =\n{\n  [1,1] = 1\n}\n\n", "1", UNVERIFIABLE),
    ("s.a = 1", "s =\n\n  scalar structure containing the fields:\n\n    a = 1\n\n\n", "1", UNVERIFIABLE),
    ("format rat; x = pi", "x = 355/113\n", r"\frac{355}{113}", UNVERIFIABLE),
    ("disp(rats(pi))", "  355/113\n", r"\frac{355}{113}", UNVERIFIABLE),
]  # fmt: skip
NAMES = [f"{number} {program}" for number, (program, _, _, _) in enumerate(PAIRS)]


@pytest.fixture(scope="module")
def printed() -> Iterator[list[str]]:
    if shutil.which("octave-cli") is None:
        pytest.skip("octave-cli is not installed (apt-get install octave)")
    with Sandbox(SandboxConfig(preload=(), n_workers=1)) as sandbox:
        yield [found.stdout for found in sandbox.run(Snippet(code=pair[0], language="octave") for pair in PAIRS)]


@pytest.mark.parametrize(("program", "output", "gold", "verdict"), PAIRS, ids=NAMES)
def test_verdict(program: str, output: str, gold: str, verdict: str) -> None:
    found = compare(gold, output, code=program)
    assert found.verdict == verdict, found
    quick = quick_verdict(Claim(gold=gold, output=output, code=program))
    assert quick is None or quick == found


def test_octave_prints_this(printed: list[str]) -> None:
    """The display of numbers is the same in every version since 4.4; the last blank line is not looked at."""
    wanted = [output.rstrip() for _, output, _, _ in PAIRS]
    assert [output.rstrip() for output in printed] == wanted


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=NAMES)
def test_verdict_on_what_octave_prints(printed: list[str], number: int) -> None:
    program, _, gold, verdict = PAIRS[number]
    assert compare(gold, printed[number], code=program).verdict == verdict


@pytest.mark.parametrize(
    ("code", "are_other"),
    [
        ("format rat; x", True),
        ("format('rat')\nx", True),
        ("disp(rats(x))", True),
        ("format hex", True),
        ("format long; x", False),
        ("print('{}'.format(rate))", False),
        ("print(format(ratio, '.3f'))", False),
        ("karats(3)", False),
    ],
)
def test_programs_that_print_other_digits(code: str, are_other: bool) -> None:
    assert prints_other_digits(code) == are_other


COLUMNS = """x =

 Columns 1 through 3:

    1.5000    3.0000    4.5000
    1.0000    2.0000    3.0000

 Columns 4 and 5:

    6.0000    7.5000
    4.0000    5.0000

y = 7
"""


def test_groups_of_columns_are_joined() -> None:
    matrix, scalar = read_output(COLUMNS)
    gold = r"\begin{pmatrix}1.5&3&4.5&6&7.5\\1&2&3&4&5\end{pmatrix}"
    assert compare(gold, COLUMNS.rpartition("y")[0]).verdict == VERIFIED
    assert (matrix.label, scalar.label) == ("x", "y")


@pytest.mark.parametrize(
    "output",
    [
        COLUMNS.replace("Columns 4 and 5", "Columns 5 and 6"),
        COLUMNS.replace("    4.0000    5.0000\n", ""),
        COLUMNS.replace("    4.0000    5.0000\n", "    4.0000\n"),
        "x =\n\nans(:,:,1) =\n\n   1   2\n\nans(:,:,2) =\n\n   1   2\n\n",
        "x =\n\n   1   2\n   3\n\n",
        "x =\n\n   1   b\n\n",
        "x =\n\n",
        "x =\n\n   1 + 2i   3\n\n",
        "[1 2;3]",
        "[1 2;3 x]",
    ],
)
def test_what_is_not_understood_is_unreadable(output: str) -> None:
    with pytest.raises(Unreadable):
        read_output(output)


def test_common_factor() -> None:
    output = "x =\n\n  1.0e+03 *\n\n   0.0015   2.0000\n\n"
    assert compare(r"\begin{pmatrix}1.5&2000\end{pmatrix}", output).verdict == VERIFIED
    # The places are those before the factor: 0.0015 thousand may be 1.54.
    assert compare(r"\begin{pmatrix}1.54&2000\end{pmatrix}", output).verdict == UNVERIFIABLE
    assert compare(r"\begin{pmatrix}1.6&2000\end{pmatrix}", output).verdict == REFUTED


@given(st.lists(st.lists(st.integers(-999, 999), min_size=2, max_size=4), min_size=1, max_size=4), st.data())
def test_any_matrix_of_integers(rows: list[list[int]], data: st.DataObject) -> None:
    rows = [(row * 2)[: len(rows[0])] for row in rows]
    output = "A =\n\n" + "".join("".join(f"{cell:6d}" for cell in row) + "\n" for row in rows) + "\n"

    def stated() -> str:
        return r"\begin{pmatrix}" + r"\\".join("&".join(map(str, row)) for row in rows) + r"\end{pmatrix}"

    assert compare(stated(), output).verdict == VERIFIED
    rows[data.draw(st.integers(0, len(rows) - 1))][data.draw(st.integers(0, len(rows[0]) - 1))] += 1
    assert compare(stated(), output).verdict == REFUTED


@given(st.text("x= 0123.e+-iINafn\n*:;[]Columsthrg", max_size=80))
def test_any_text_gets_a_verdict(output: str) -> None:
    assert compare("1", "x =\n\n" + output).verdict in (VERIFIED, REFUTED, UNVERIFIABLE)

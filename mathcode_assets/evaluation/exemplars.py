"""Worked examples shown before a question: four of each style, written for this project.

No benchmark's or paper's exemplars are used: a set of our own can be published with the corpus, and is itself scanned
for contamination like any text. `program` prints the answer; a test runs it and has the two compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """A problem with its solution.

    Attributes:
        question: as an item's.
        solution: the steps, without the sentence that states the answer.
        answer: LaTeX or plain; the letter where there are options.
        program: Python that prints the answer (the value of the right option).
        options: of a multiple-choice question, in order.
    """

    question: str
    solution: str
    answer: str
    program: str
    options: tuple[str, ...] = ()


WORD_PROBLEM = (
    Exemplar(
        question=(
            "A ferry makes 6 crossings on a weekday and 9 on each day of the weekend. It carries 14 cars on every "
            "crossing. How many cars can it carry in one week?"
        ),
        solution=(
            "On the 5 weekdays there are 5 * 6 = 30 crossings. On the 2 days of the weekend there are 2 * 9 = 18 "
            "crossings. That makes 30 + 18 = 48 crossings, so the ferry can carry 48 * 14 = 672 cars."
        ),
        answer="672",
        program="print((5 * 6 + 2 * 9) * 14)",
    ),
    Exemplar(
        question=(
            "Ilse has 45 dollars. She buys three skeins of wool for 8.50 dollars each and a pattern for 6 dollars. "
            "How many dollars are left?"
        ),
        solution=(
            "The wool costs 3 * 8.50 = 25.50 dollars. With the pattern she spends 25.50 + 6 = 31.50 dollars. "
            "There are 45 - 31.50 = 13.50 dollars left."
        ),
        answer="13.5",
        program="print(45 - 3 * 8.5 - 6)",
    ),
    Exemplar(
        question=(
            "A bakery sold 120 rolls on Monday. On Tuesday it sold a quarter fewer, and on Wednesday twice as many as "
            "on Tuesday. How many rolls did it sell on the three days together?"
        ),
        solution=(
            "A quarter of 120 is 30, so on Tuesday it sold 120 - 30 = 90 rolls. On Wednesday it sold 2 * 90 = 180. "
            "Together that is 120 + 90 + 180 = 390 rolls."
        ),
        answer="390",
        program="print(120 + 90 + 2 * 90)",
    ),
    Exemplar(
        question="Pavel is 4 years older than Nina. In 5 years their ages will add up to 40. How old is Nina now?",
        solution=(
            "In 5 years each of them is 5 years older, so their ages now add up to 40 - 10 = 30. If Nina is n years "
            "old, then n + (n + 4) = 30, so 2n = 26 and n = 13."
        ),
        answer="13",
        program="from sympy import symbols, solve\nn = symbols('n')\nprint(solve(n + 5 + n + 4 + 5 - 40, n)[0])",
    ),
)

COMPETITION = (
    Exemplar(
        question="Find the sum of all real numbers $x$ with $|2x - 7| = 5$.",
        solution=(
            "Either $2x - 7 = 5$, which gives $x = 6$, or $2x - 7 = -5$, which gives $x = 1$. "
            "The sum of the two is $6 + 1 = 7$."
        ),
        answer="7",
        program="from sympy import Rational\nprint(Rational(7 + 5, 2) + Rational(7 - 5, 2))",
    ),
    Exemplar(
        question=(
            "Two cards are drawn without replacement from six cards numbered $1$ to $6$. What is the probability that "
            "the sum of their numbers is a multiple of $4$?"
        ),
        solution=(
            "There are $\\binom{6}{2} = 15$ pairs. The sum is $4$ for $\\{1,3\\}$, and $8$ for $\\{2,6\\}$ and "
            "$\\{3,5\\}$; a sum of $12$ would need the same card twice. So $3$ pairs are favourable, and the "
            "probability is $\\frac{3}{15} = \\frac{1}{5}$."
        ),
        answer="\\frac{1}{5}",
        program=(
            "from fractions import Fraction\nfrom itertools import combinations\n"
            "pairs = list(combinations(range(1, 7), 2))\n"
            "print(Fraction(sum(sum(pair) % 4 == 0 for pair in pairs), len(pairs)))"
        ),
    ),
    Exemplar(
        question="A rhombus has diagonals of length $10$ and $24$. What is the radius of its inscribed circle?",
        solution=(
            "The diagonals meet at right angles and halve each other, so a side is $\\sqrt{5^2 + 12^2} = 13$. The area "
            "is $\\frac{10 \\cdot 24}{2} = 120$. It is also half the perimeter times the radius, $26r$, "
            "so $r = \\frac{120}{26} = \\frac{60}{13}$."
        ),
        answer="\\frac{60}{13}",
        program="from sympy import Rational, sqrt\nprint(Rational(10 * 24, 2) / (2 * sqrt(5**2 + 12**2)))",
    ),
    Exemplar(
        question="Write $\\frac{4}{\\sqrt{7} - \\sqrt{3}}$ without roots in the denominator.",
        solution=(
            "Multiply numerator and denominator by $\\sqrt{7} + \\sqrt{3}$. The denominator becomes $7 - 3 = 4$, and "
            "$\\frac{4(\\sqrt{7} + \\sqrt{3})}{4} = \\sqrt{7} + \\sqrt{3}$."
        ),
        answer="\\sqrt{7} + \\sqrt{3}",
        program="from sympy import radsimp, sqrt\nprint(radsimp(4 / (sqrt(7) - sqrt(3))))",
    ),
)

SCIENCE = (
    Exemplar(
        question=(
            "A capacitor of $20\\,\\mu\\mathrm{F}$ is charged to $50 \\mathrm{~V}$. How much energy does it store? "
            "Give your answer in joules."
        ),
        solution=(
            "The energy is $E = \\frac{1}{2} C V^2$. With $C = 2 \\times 10^{-5} \\mathrm{~F}$ and "
            "$V = 50 \\mathrm{~V}$ this is $\\frac{1}{2} \\cdot 2 \\times 10^{-5} \\cdot 2500 = 0.025 \\mathrm{~J}$."
        ),
        answer="0.025",
        program="print(0.5 * 20e-6 * 50**2)",
    ),
    Exemplar(
        question="Solve $y' = -3y$ with $y(0) = 4$. Give $y$ as a function of $t$.",
        solution=(
            "The equation is separable: $\\frac{dy}{y} = -3\\,dt$, so $\\ln y = -3t + c$ and $y = A e^{-3t}$. "
            "From $y(0) = 4$ follows $A = 4$."
        ),
        answer="4 e^{-3 t}",
        program="from sympy import exp, symbols\nt = symbols('t')\nprint(4 * exp(-3 * t))",
    ),
    Exemplar(
        question=(
            "A star has twice the radius of the Sun and the same surface temperature. By what factor is it more "
            "luminous than the Sun?"
        ),
        solution=(
            "By the law of Stefan and Boltzmann $L = 4 \\pi R^2 \\sigma T^4$. The temperature is the same, so the "
            "luminosity grows with the square of the radius: $2^2 = 4$."
        ),
        answer="4",
        program="print(2**2)",
    ),
    Exemplar(
        question=(
            "A first-order reaction has the rate constant $k = 0.01 \\mathrm{~s}^{-1}$. After how many seconds is half "
            "of the reactant left? Give an exact expression."
        ),
        solution=(
            "The amount falls as $e^{-kt}$. It is a half when $kt = \\ln 2$, so "
            "$t = \\frac{\\ln 2}{0.01} = 100 \\ln 2$ seconds."
        ),
        answer="100 \\ln 2",
        program="from sympy import Rational, log\nprint(log(2) / Rational(1, 100))",
    ),
)

MULTIPLE_CHOICE = (
    Exemplar(
        question="If $5x - 8 = 3x + 10$, what is the value of $x$?",
        options=("$1$", "$6$", "$9$", "$18$"),
        solution="Subtracting $3x$ and adding $8$ on both sides gives $2x = 18$, so $x = 9$.",
        answer="C",
        program="from sympy import symbols, solve\nx = symbols('x')\nprint(solve(5*x - 8 - 3*x - 10, x)[0])",
    ),
    Exemplar(
        question="A price of $80$ dollars is raised by $25\\%$ and then lowered by $20\\%$. What is the final price?",
        options=("$80$", "$84$", "$76$", "$100$"),
        solution="Raised by a quarter, the price is $100$ dollars. A fifth of that is $20$, so it ends at $80$.",
        answer="A",
        program="from fractions import Fraction\nprint(80 * Fraction(5, 4) * Fraction(4, 5))",
    ),
    Exemplar(
        question="The mean of five numbers is $12$. Four of them are $7$, $10$, $13$ and $15$. What is the fifth?",
        options=("$11$", "$12$", "$14$", "$15$"),
        solution="The five numbers add up to $5 \\cdot 12 = 60$. The four add up to $45$, so the fifth is $15$.",
        answer="D",
        program="print(5 * 12 - (7 + 10 + 13 + 15))",
    ),
    Exemplar(
        question="Which is the slope of the line through $(-1, 4)$ and $(5, 1)$?",
        options=("$-2$", "$-\\frac{1}{2}$", "$\\frac{1}{2}$", "$2$"),
        solution="The slope is $\\frac{1 - 4}{5 - (-1)} = \\frac{-3}{6} = -\\frac{1}{2}$.",
        answer="B",
        program="from fractions import Fraction\nprint(Fraction(1 - 4, 5 - -1))",
    ),
)

EXEMPLARS: Mapping[str, tuple[Exemplar, ...]] = {
    "word_problem": WORD_PROBLEM,
    "competition": COMPETITION,
    "science": SCIENCE,
    "multiple_choice": MULTIPLE_CHOICE,
}

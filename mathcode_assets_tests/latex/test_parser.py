"""What LaTeX and plain mathematics become in Python, row by row, and what is refused."""

from __future__ import annotations

import ast

import pytest

from mathcode_assets.latex.nodes import LatexSyntaxError
from mathcode_assets.latex.python_source import latex_to_python

READ = [
    # numbers
    (r"1,234", "1234"),
    (r"1{,}234", "1234"),
    (r"12\,345", "12345"),
    (r"0{,}5", "0.5"),
    (r".5", "0.5"),
    (r"1.2\times 10^{-3}", "1.2*Rational(1, 10**3)"),
    (r"1e-5", "1e-5"),
    (r"50\%", "Rational(50, 100)"),
    (r"0.\overline{3}", "Rational(3, 9)"),
    (r"\frac12", "Rational(1, 2)"),
    (r"\frac1{12}", "Rational(1, 12)"),
    (r"½", "Rational(1, 2)"),
    (r"2\frac{1}{2}", "Rational(5, 2)"),
    (r"2\frac{3}{2}", "2*Rational(3, 2)"),
    (r"22/7", "Rational(22, 7)"),
    # products and quotients
    (r"2\pi r", "2*pi*r"),
    (r"xy", "x*y"),
    (r"(a)(b+1)", "a*(b + 1)"),
    (r"n(n+1)/2", "n*(n + 1)/2"),
    (r"3 \div 4 \cdot 2", "Rational(3, 4)*2"),
    (r"1/2(x+1)", "Rational(1, 2)*(x + 1)"),
    (r"−3 × 4 · 2", "-3*4*2"),
    (r"53.25(1)+59.5(0)", "53.25*1 + 59.5*0"),
    # powers and roots
    (r"x^2y", "x**2*y"),
    (r"2^10", "2**10"),
    (r"x²", "x**2"),
    (r"-x^2", "-x**2"),
    (r"(-x)^2", "(-x)**2"),
    (r"2^{3-5}", "Integer(2)**(3 - 5)"),
    (r"\sqrt{2}^3", "sqrt(2)**3"),
    (r"\sqrt[3]{x}", "root(x, 3)"),
    (r"\sqrt[3]{-8}", "-root(8, 3)"),
    (r"e^{ix}", "exp(I*x)"),
    (r"a e", "a*e"),
    (r"x_i + i", "x_i + i"),
    # functions
    (r"\sin 2x\cos x", "sin(2*x)*cos(x)"),
    (r"\sin^2 x", "sin(x)**2"),
    (r"\sin^{-1} x", "asin(x)"),
    (r"\arctan x", "atan(x)"),
    (r"\cos 2\pi/3", "cos(2*pi/3)"),
    (r"\sin 30^\circ", "sin(30*pi/180)"),
    (r"\log_2 8", "log(8, 2)"),
    (r"\log_{10}(x+1)", "log(x + 1, 10)"),
    (r"\lg 100", "log(100, 10)"),
    (r"\ln|x|", "log(Abs(x))"),
    (r"\max(1, 2)", "Max(1, 2)"),
    (r"\gcd(12, 18)", "gcd(12, 18)"),
    (r"n!", "factorial(n)"),
    (r"\binom{n}{k}", "binomial(n, k)"),
    (r"{n \choose k}", "binomial(n, k)"),
    (r"17 \bmod 5", "Mod(17, 5)"),
    (r"|a||b|", "Abs(a)*Abs(b)"),
    (r"\left\lfloor \frac72 \right\rfloor", "floor(Rational(7, 2))"),
    # calculus
    (r"\int_0^1 x^2\,dx", "Integral(x**2, (x, 0, 1))"),
    (r"\int \frac{dx}{x}", "Integral(1/x, x)"),
    (r"\int x + 1 \, \mathrm{d}x", "Integral(x + 1, x)"),
    (r"\int_0^1\int_0^2 xy\,dx\,dy", "Integral(Integral(x*y, (x, 0, 2)), (y, 0, 1))"),
    (r"\frac{d}{dx}(x^2+1)", "Derivative(x**2 + 1, x)"),
    (r"\frac{d^2}{dx^2} x^3", "Derivative(x**3, x, 2)"),
    (r"\frac{\partial}{\partial y} x y", "Derivative(x*y, y)"),
    (r"\sum_{k=1}^n k^2 + 1", "Sum(k**2, (k, 1, n)) + 1"),
    (r"\prod_{k=1}^{3} k", "Product(k, (k, 1, 3))"),
    (r"\lim_{x\to 0} \frac{\sin x}{x}", 'Limit(sin(x)/x, x, 0, "+-")'),
    (r"\lim_{x\to 0^{+}} \frac{1}{x}", 'Limit(1/x, x, 0, "+")'),
    (r"\lim_{n\to\infty} \left(1+\frac1n\right)^n", "Limit((1 + 1/n)**n, n, oo)"),
    # lists, sets, intervals, matrices
    (r"(2,3)", "(2, 3)"),
    (r"(1,\infty)", "Interval.open(1, oo)"),
    (r"(-\infty, 3]", "Interval.Lopen(-oo, 3)"),
    (r"\{100,200\}", "FiniteSet(100, 200)"),
    (r"\emptyset", "EmptySet"),
    (r"3 \pm \sqrt{5}", "FiniteSet(3 + sqrt(5), 3 - sqrt(5))"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "Matrix([[1, 2], [3, 4]])"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "det(Matrix([[1, 2], [3, 4]]))"),
    (r"\left|\begin{matrix}1&2\\3&4\end{matrix}\right|", "det(Matrix([[1, 2], [3, 4]]))"),
    (r"\begin{cases} x & x > 0 \\ -x & \text{otherwise} \end{cases}", "Piecewise((x, Gt(x, 0)), (-x, True))"),
    # relations
    (r"a = b < c", "And(Eq(a, b), Lt(b, c))"),
    (r"x=2, x=3", "(Eq(x, 2), Eq(x, 3))"),
    (r"x = \pm 2", "(Eq(x, 2), Eq(x, -2))"),
    (r"x \in (-1,1)", "Contains(x, Interval.open(-1, 1))"),
    (r"a \equiv b \pmod{7}", "Eq(Mod(a - b, 7), 0)"),
    # words
    (r"no solution", "'no solution'"),
    (r"\text{even}", "'even'"),
    # delimiters around everything
    (r"$\frac{1}{2}$.", "Rational(1, 2)"),
    (r"\boxed{42}", "42"),
]

REFUSED = [
    (r"1/2x", "half of x, or one over 2x"),
    (r"f(x)", "an undefined function"),
    (r"P(A)", "an undefined function"),
    (r"\sin(x)^2", "the square of the sine, or the sine of a square"),
    (r"\ln x/2", "half a logarithm, or the logarithm of a half"),
    (r"2 3", "two numbers"),
    (r"1, 2, \ldots", "an ellipsis"),
    (r"\frac{dy}{dx}", "a derivative of an undefined function"),
    (r"\sum_{k=1}^n a_k", "an indexed family"),
    (r"\sum_{k=1}^n k + k", "the index outside its sum"),
    (r"u^{(n)}", "an index above"),
    (r"A^T B", "a transpose of letters"),
    (r"\vec{a}\times\vec{b}", "a product of vectors"),
    (r"K[x]", "a ring of polynomials"),
    (r"x\,dy", "a differential"),
    (r"area", "a word"),
    (r"\frac{1}{2", "an open group"),
    (r"x^{2}}", "a group that never began"),
    (r"\left( x \right", "an open delimiter"),
    (r"\unknown{x}", "an unknown command"),
    (r"x \to y", "an arrow"),
    (r"n!!", "a double factorial"),
    (r"0.57\, \frac{2}{3}", "two values side by side"),
]


@pytest.mark.parametrize(("latex", "code"), READ)
def test_a_formula_becomes_this_python(latex: str, code: str) -> None:
    found = latex_to_python(latex).code
    assert found == code
    ast.parse(found, mode="eval")


@pytest.mark.parametrize(("latex", "what"), REFUSED)
def test_what_is_not_understood_is_refused_whole(latex: str, what: str) -> None:
    if what == "a word":
        assert latex_to_python(latex).kind == "text"
        return
    with pytest.raises(LatexSyntaxError) as caught:
        latex_to_python(latex)
    assert 0 <= caught.value.position <= len(latex)


@pytest.mark.parametrize(
    ("latex", "unit"),
    [
        (r"10\text{ cm}", "cm"),
        (r"9.8\,\mathrm{m}/\mathrm{s}^2", "m/s^2"),
        (r"\$25", "$"),
        (r"90^\circ", "degree"),
        (r"50\%", "%"),
        (r"7", ""),
    ],
)
def test_units_stand_beside_the_value(latex: str, unit: str) -> None:
    assert latex_to_python(latex).units == (unit,)


def test_names_keep_case_primes_and_subscripts_and_avoid_keywords() -> None:
    found = latex_to_python(r"X x x_1 x_{12} x' \theta \lambda \mathbf{v} E")
    assert [name for name, _ in found.symbols] == [
        *("X", "x", "x_1", "x_12", "x_prime", "theta", "lambda_", "v", "E_"),
    ]
    assert dict(found.symbols)["lambda_"] == r"\lambda"


def test_the_caller_may_say_what_letters_are() -> None:
    assert latex_to_python("p(x+1)").code == "p*(x + 1)"
    with pytest.raises(LatexSyntaxError):
        latex_to_python("p(x+1)", functions={"p"})
    assert latex_to_python("2e", letters={"e"}).code == "2*e"
    assert latex_to_python("2e").code == "2*E"


def test_an_error_tells_where() -> None:
    with pytest.raises(LatexSyntaxError) as caught:
        latex_to_python(r"x + \spam")
    assert caught.value.position == 4


@pytest.mark.parametrize(
    "source",
    [
        "{" * 1_000_000,
        "(" * 2_000,
        r"\frac" * 2_900,
        "2^{" * 900,
        r"\left(" * 2_900,
        r"\int " * 1_000 + "dx" * 900,
        r"\begin{matrix}" * 500,
        "|" * 2_900,
        "-" * 2_900,
        "9" * 19_000,
        "$" * 9_999,
        r"\sqrt[" * 2_900,
        "a_" * 1_400,
    ],
    ids=lambda source: f"{source[:6]}...",
)
def test_depth_and_length_are_bounded(source: str) -> None:
    with pytest.raises(LatexSyntaxError):
        latex_to_python(source)


def test_a_long_flat_sum_is_read() -> None:
    assert latex_to_python("1+" * 1_400 + "1").code.count("+") == 1_400

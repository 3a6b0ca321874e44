"""Values of expressions at points, to many digits.

Every function is bounded in the size of its arguments and every evaluation in its cost; what goes beyond raises
`Undefined`, and the comparison stays open.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from mathcode_assets.verification.exact import exact
from mathcode_assets.verification.special_functions import (
    CONSTANT_VALUES,
    MAX_LOG2,
    MP,
    RULES,
    TooCostly,
    Undefined,
    to_mpf,
    undefined_function,
)
from mathcode_assets.verification.values import (
    Add,
    Boolean,
    Call,
    Constant,
    Logic,
    Mul,
    Number,
    Pow,
    Relation,
    Sequence,
    Symbol,
    Value,
    free_symbols,
    renamed,
)

MAX_COST = 30_000  # function calls in one evaluation
QUADRATURE_DIGITS = 15
MAX_TERMS = 5_000  # of a finite sum
Point = Mapping[str, Any]


class Evaluation:
    """One evaluation: the point, the domain, and what it met.

    Attributes:
        peak: magnitude of the largest sum term met; tells rounding noise from a difference.
        is_approximate: a quadrature or a limit process took part, so fewer digits hold.
    """

    def __init__(self, point: Point, *, is_real: bool) -> None:
        self._point = dict(point)
        self._is_real = is_real
        self._cost = 0
        self.peak = MP.mpf(1)  # a value below the noise of ordinary numbers is looked at again
        self.is_approximate = False

    def __call__(self, node: Value) -> Any:
        """The value of a node.

        Raises:
            Undefined: see the class.
        """
        self._cost += 1
        if self._cost > MAX_COST:
            raise TooCostly("too costly")
        match node:
            case Number():
                return to_mpf(node.value)
            case Symbol():
                if node.name not in self._point:
                    raise Undefined(f"no value for {node.name}")
                return self._point[node.name]
            case Constant():
                return self._constant(node.name)
            case Add():
                value = MP.mpf(0)
                for term in node.terms:
                    part = self(term)
                    self.peak = max(self.peak, abs(part))
                    value += part
                return self._checked(value)
            case Mul():
                value = MP.mpf(1)
                for factor in node.factors:
                    value *= self(factor)
                return self._checked(value)
            case Pow():
                return self._power(node)
            case Call():
                return self._call(node)
            case _:
                raise Undefined(f"{type(node).__name__} has no numeric value")

    def _constant(self, name: str) -> Any:
        if name == "I":
            return MP.mpc(0, 1)
        if name in CONSTANT_VALUES:
            return +CONSTANT_VALUES[name]
        if name == "oo":
            return MP.inf
        raise Undefined(name)

    def _checked(self, value: Any) -> Any:
        if isinstance(value, MP.mpc):
            if self._is_real and value.imag != 0:
                raise Undefined("complex value")
            parts = (value.real, value.imag)
        else:
            parts = (value,)
        for part in parts:
            if not MP.isfinite(part):
                raise Undefined("not finite")
            if part and abs(MP.mag(part)) > MAX_LOG2:
                raise Undefined("beyond the range")
        return value

    def _power(self, node: Pow) -> Any:
        base = self(node.base)
        rational = exact(node.exponent)
        exponent = None
        if rational is None:
            exponent = self(node.exponent)
            if not isinstance(exponent, MP.mpc) and abs(exponent) <= 4 * MAX_LOG2 and MP.isint(exponent):
                rational = Fraction(int(exponent))
        if rational is not None and rational.denominator == 1:
            exponent = rational.numerator
            if not MP.isfinite(base):
                raise Undefined("power of infinity")
            if exponent < 0 and base == 0:
                raise Undefined("division by zero")
            if base and abs(exponent) * (abs(MP.mag(base)) + 2) > 4 * MAX_LOG2:
                raise Undefined("beyond the range")
            return self._checked(base**exponent)
        if exponent is None:
            exponent = self(node.exponent)
        if base == 0:
            if MP.re(exponent) > 0:
                return MP.mpf(0)
            raise Undefined("power of zero")
        if self._is_real and MP.re(base) < 0:
            raise Undefined("power of a negative number")
        if not (MP.isfinite(base) and MP.isfinite(exponent)):
            raise Undefined("infinite power")
        if abs(exponent) * abs(MP.log(abs(base))) > MAX_LOG2:
            raise Undefined("beyond the range")
        return self._checked(MP.power(base, exponent))

    def _call(self, node: Call) -> Any:
        special = SPECIAL.get(node.name)
        try:
            if special is not None:
                return self._checked(special(self, node))
            arguments = [self(argument) for argument in node.arguments]
            if node.name.startswith("?"):
                return self._checked(undefined_function(node.name, arguments))
            rule = RULES.get(node.name)
            if rule is None:
                raise Undefined(node.name)
            is_large = any(not MP.isfinite(argument) or MP.mag(argument) > 64 for argument in arguments if argument)
            if is_large and node.name not in ("log", "sqrt", "Abs", "cbrt", "Max", "Min", "atan"):
                raise Undefined("argument beyond the range")
            value = rule(*arguments)
            if self._is_real and isinstance(value, MP.mpc) and value.imag != 0:
                raise Undefined("complex value")
            return self._checked(value)
        except Undefined:
            raise
        except (ValueError, TypeError, ArithmeticError, NotImplementedError, MP.NoConvergence) as error:
            raise Undefined(f"{node.name}: {type(error).__name__}") from None

    def bound(self, names: Point) -> Evaluation:
        """The same evaluation with some variables given values; the cost goes on."""
        inner = Evaluation({**self._point, **names}, is_real=self._is_real)
        inner._cost = self._cost
        return inner

    def spend(self, inner: Evaluation) -> None:
        """Take over the cost of an inner evaluation."""
        self._cost = inner._cost

    def truth(self, node: Value) -> bool:
        """Whether a condition of a Piecewise holds at the point."""
        match node:
            case Boolean():
                return node.value
            case Logic():
                parts = [self.truth(part) for part in node.parts]
                return not parts[0] if node.op == "not" else (all if node.op == "and" else any)(parts)
            case Relation():
                left, right = self(node.left), self(node.right)
                if isinstance(left, MP.mpc) or isinstance(right, MP.mpc):
                    raise Undefined("order of complex numbers")
                return COMPARISONS[node.op](left, right)
            case _:
                raise Undefined("condition")


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _piecewise(evaluation: Evaluation, node: Call) -> Any:
    for branch in node.arguments:
        if not isinstance(branch, Sequence) or len(branch.items) != 2:
            raise Undefined("Piecewise")
        value, condition = branch.items
        if evaluation.truth(condition):
            return evaluation(value)
    raise Undefined("no branch holds")


def _limits(node: Call) -> list[tuple[str, Value, Value]]:
    limits = []
    for limit in node.arguments[1:]:
        if not isinstance(limit, Sequence) or len(limit.items) != 3 or not isinstance(limit.items[0], Symbol):
            raise Undefined("limits")
        limits.append((limit.items[0].name, limit.items[1], limit.items[2]))
    if not limits:
        raise Undefined("no limits")
    return limits


def _series(evaluation: Evaluation, node: Call) -> Any:
    (name, low, high), *more = _limits(node)
    body: Value = node.arguments[0] if not more else Call(node.name, (node.arguments[0], *node.arguments[2:]))
    if more:
        # SymPy's first limit is the innermost.
        inner, outer = Call(node.name, node.arguments[:2]), node.arguments[2:]
        return _series(evaluation, Call(node.name, (inner, *outer)))
    start, stop = evaluation(low), evaluation(high)
    combine = (lambda a, b: a + b) if node.name == "Sum" else (lambda a, b: a * b)
    if not MP.isint(start):
        raise Undefined("bounds")
    if MP.isint(stop) and stop - start <= MAX_TERMS:
        value = MP.mpf(int(node.name == "Product"))
        for position in range(int(start), int(stop) + 1):
            inner_evaluation = evaluation.bound({name: MP.mpf(position)})
            value = combine(value, inner_evaluation(body))
            evaluation.spend(inner_evaluation)
        return value
    if node.name != "Sum" or stop != MP.inf:
        raise Undefined("bounds")
    evaluation.is_approximate = True

    def term(position: Any) -> Any:
        inner_evaluation = evaluation.bound({name: position})
        value = inner_evaluation(body)
        evaluation.spend(inner_evaluation)
        return value

    with MP.workdps(QUADRATURE_DIGITS):
        first = MP.nsum(term, [start, MP.inf], maxterms=300, method="r")
        # Extrapolation can converge on a divergent series: a second method must agree.
        second = MP.nsum(term, [start + 1, MP.inf], maxterms=300, method="r") + term(start)
    if abs(first - second) > 1e-9 * (1 + abs(first)):
        raise Undefined("no convergence")
    return first


def _integral(evaluation: Evaluation, node: Call) -> Any:
    (name, low, high), *more = _limits(node)
    if more:
        raise Undefined("several integrals")
    start, stop = evaluation(low), evaluation(high)
    evaluation.is_approximate = True

    def integrand(position: Any) -> Any:
        inner = evaluation.bound({name: position})
        value = inner(node.arguments[0])
        evaluation.spend(inner)
        return value

    with MP.workdps(QUADRATURE_DIGITS):
        value, error = MP.quad(integrand, [start, stop], error=True, maxdegree=7)
        if error > 1e-9 * (1 + abs(value)):
            raise Undefined("no convergence")
    return value


def _derivative(evaluation: Evaluation, node: Call) -> Any:
    body, *variables = node.arguments
    orders: list[str] = []
    for variable in variables:
        if isinstance(variable, Symbol):
            orders.append(variable.name)
        elif isinstance(variable, Sequence) and len(variable.items) == 2 and isinstance(variable.items[0], Symbol):
            count = exact(variable.items[1])
            if count is None or count.denominator != 1 or not 0 <= count <= 3:
                raise Undefined("order of a derivative")
            orders.extend([variable.items[0].name] * count.numerator)
        else:
            raise Undefined("variable of a derivative")
    if len(set(orders)) != 1 or len(orders) > 3:
        raise Undefined("mixed derivative")
    name = orders[0]

    def function(position: Any) -> Any:
        inner = evaluation.bound({name: position})
        value = inner(body)
        evaluation.spend(inner)
        return value

    if name not in evaluation._point:
        raise Undefined(f"no value for {name}")
    evaluation.is_approximate = True
    return MP.diff(function, evaluation._point[name], len(orders))


def _root_of(evaluation: Evaluation, node: Call) -> Any:
    """The root of that number, real ones first and ascending; only real ones, whose order is plain."""
    polynomial, *rest = node.arguments
    index = exact(rest[-1]) if rest else None
    variables = [rest[0].name] if len(rest) == 2 and isinstance(rest[0], Symbol) else []
    names = variables or sorted(free_symbols(polynomial))
    if index is None or index.denominator != 1 or not 0 <= index < 12 or len(names) != 1:
        raise Undefined("root")
    # Coefficients by interpolation at integers: exact for a polynomial of degree below 12.
    samples = []
    for position in range(13):
        value = exact_at(polynomial, names[0], position)
        samples.append(value)
    coefficients = _interpolated(samples)
    with MP.workdps(60):
        roots = MP.polyroots([to_mpf(coefficient) for coefficient in coefficients], maxsteps=200, extraprec=200)
        real = sorted(root.real for root in map(MP.mpc, roots) if abs(root.imag) < MP.mpf(10) ** -40)
    if index.numerator >= len(real):
        raise Undefined("complex root")
    return +real[index.numerator]


def exact_at(node: Value, name: str, position: int) -> Fraction:
    """The exact value with one variable set to an integer.

    Raises:
        Undefined: there is none.
    """
    value = exact(renamed(node, {name: Number(Fraction(position))}))
    if value is None:
        raise Undefined("not a polynomial with rational coefficients")
    return value


def _interpolated(samples: list[Fraction]) -> list[Fraction]:
    """Coefficients, highest first, of the polynomial through (0, s0), (1, s1), ...; trimmed."""
    differences, row = [], list(samples)
    while row:
        differences.append(row[0])
        row = [after - before for before, after in itertools.pairwise(row)]
    coefficients = [Fraction(0)]
    for order in range(len(differences) - 1, -1, -1):
        # Newton form, Horner-wise: p = d[order] + (x - order) / (order + 1) * p
        shifted = [Fraction(0), *coefficients]
        scaled = [value * -order for value in coefficients] + [Fraction(0)]
        coefficients = [(high + low) / (order + 1) for high, low in zip(shifted, scaled, strict=True)]
        coefficients[0] += differences[order]
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients.pop()
    if len(coefficients) < 2 or len(coefficients) > 12:
        raise Undefined("not a polynomial of degree 1 to 11")
    return coefficients[::-1]


SPECIAL: dict[str, Callable[[Evaluation, Call], Any]] = {
    "Piecewise": _piecewise,
    "Sum": _series,
    "Product": _series,
    "Integral": _integral,
    "Derivative": _derivative,
    "RootOf": _root_of,
}

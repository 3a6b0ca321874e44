"""The functions of the table at numbers of many digits, each bounded in the size of its arguments.

A private mpmath context, so that neither the precision of another user nor ours leaks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath

MP = mpmath.MPContext()
DIGITS = 40
MP.dps = DIGITS
MAX_LOG2 = 1 << 16  # binary magnitude of any intermediate value: 10**19728


class Undefined(ValueError):
    """The expression has no (real) value at the point, or one beyond the bounds."""


class TooCostly(Undefined):
    """The evaluation went over its cost: other points would cost as much."""


def to_mpf(value: Fraction) -> Any:
    """A rational at the context's precision."""
    if value.denominator == 1:
        return MP.mpf(value.numerator)
    return MP.mpf(value.numerator) / value.denominator


def undefined_function(name: str, arguments: list[Any]) -> Any:
    """A fixed smooth function for a name such as f: equal arguments give equal values, others do not."""
    generator = random.Random(f"{name}/{len(arguments)}")
    value = MP.mpf(generator.uniform(0.5, 1.5))
    for argument in arguments:
        if not MP.isfinite(argument) or abs(argument) > 10**6:
            raise Undefined("argument beyond the range")
        a, b, c, d = (MP.mpf(generator.uniform(0.3, 1.7)) for _ in range(4))
        value = value * b + MP.sin(a * argument + c) + d * argument / (2 + argument * argument) + argument * b
    return value


def _log(value: Any, base: Any = None) -> Any:
    if value == 0:
        raise Undefined("log of zero")
    return MP.log(value) if base is None else MP.log(value) / MP.log(base)


def _real_root(value: Any, degree: Any) -> Any:
    whole = int(MP.re(degree))
    if degree == whole and whole % 2 and not isinstance(value, MP.mpc) and value < 0:
        return -((-value) ** (MP.mpf(1) / whole))
    return MP.power(value, 1 / degree) if value else MP.mpf(0)


def _real(value: Any) -> Any:
    if isinstance(value, MP.mpc):
        raise Undefined("order of complex numbers")
    return value


def _mod(value: Any, modulus: Any) -> Any:
    return value - modulus * MP.floor(value / modulus)


def _factorial2(value: Any) -> Any:
    if abs(value) > 3000:
        raise Undefined("argument beyond the range")
    return MP.fac2(value)


def _small(function: Callable[..., Any], limit: float) -> Callable[..., Any]:
    """The function for arguments up to a size; its cost or value explodes beyond."""

    def limited(*values: Any) -> Any:
        if any(abs(value) > limit for value in values):
            raise Undefined("argument beyond the range")
        return function(*values)

    return limited


CONSTANT_VALUES = {
    "pi": MP.pi,
    "E": MP.e,
    "GoldenRatio": MP.phi,
    "EulerGamma": MP.euler,
    "Catalan": MP.catalan,
}
RULES: dict[str, Callable[..., Any]] = {
    "sqrt": MP.sqrt,
    "cbrt": lambda value: _real_root(value, MP.mpf(3)),
    "root": lambda value, degree=2: _real_root(value, MP.mpf(3)) if degree == 3 else MP.power(value, 1 / degree),
    "real_root": _real_root,
    "exp": _small(MP.exp, MAX_LOG2 // 2),
    "log": _log,
    "log10": lambda value: _log(value, MP.mpf(10)),
    "log2": lambda value: _log(value, MP.mpf(2)),
    "sin": MP.sin,
    "cos": MP.cos,
    "tan": MP.tan,
    "cot": MP.cot,
    "sec": MP.sec,
    "csc": MP.csc,
    "asin": MP.asin,
    "acos": MP.acos,
    "atan": MP.atan,
    "atan2": lambda y, x: MP.atan2(_real(y), _real(x)),
    "acot": lambda value: MP.pi / 2 if value == 0 else MP.acot(value),
    "asec": MP.asec,
    "acsc": MP.acsc,
    "sinh": _small(MP.sinh, MAX_LOG2 // 2),
    "cosh": _small(MP.cosh, MAX_LOG2 // 2),
    "tanh": _small(MP.tanh, MAX_LOG2 // 2),
    "coth": _small(MP.coth, MAX_LOG2 // 2),
    "sech": _small(MP.sech, MAX_LOG2 // 2),
    "csch": _small(MP.csch, MAX_LOG2 // 2),
    "asinh": MP.asinh,
    "acosh": MP.acosh,
    "atanh": MP.atanh,
    "acoth": MP.acoth,
    "Abs": abs,
    "sign": MP.sign,
    "floor": lambda value: MP.floor(_real(value)),
    "ceiling": lambda value: MP.ceil(_real(value)),
    "factorial": _small(MP.factorial, 3000),
    "factorial2": _factorial2,
    "gamma": _small(MP.gamma, 3000),
    "loggamma": _small(MP.loggamma, 10**6),
    "beta_function": _small(MP.beta, 1000),
    "binomial": _small(MP.binomial, 1000),
    "perm": _small(lambda n, k: MP.rf(n - k + 1, k), 1000),
    "Mod": lambda value, modulus: _mod(_real(value), _real(modulus)),
    "Max": lambda *values: max(_real(value) for value in values),
    "Min": lambda *values: min(_real(value) for value in values),
    "re": MP.re,
    "im": MP.im,
    "conjugate": MP.conj,
    "arg": MP.arg,
    "erf": MP.erf,
    "erfc": MP.erfc,
    "erfi": _small(MP.erfi, 100),
    "zeta": _small(MP.zeta, 100),
    "Ei": _small(MP.ei, 1000),
    "Si": _small(MP.si, 1000),
    "Ci": _small(MP.ci, 1000),
    "li": _small(MP.li, 10**6),
    "LambertW": _small(lambda value, branch=0: MP.lambertw(value, int(branch)), 10**6),
    "besselj": _small(MP.besselj, 100),
    "bessely": _small(MP.bessely, 100),
    "Heaviside": lambda value, middle=0.5: MP.mpf(1 if _real(value) > 0 else 0 if value < 0 else middle),
    "fibonacci": _small(MP.fib, 3000),
    "lucas": _small(lambda n: MP.fib(n - 1) + MP.fib(n + 1), 3000),
    "harmonic": _small(lambda n: MP.harmonic(n), 10**6),
    "digamma": _small(MP.digamma, 10**6),
    "polygamma": _small(lambda n, value: MP.polygamma(int(n), value), 1000),
}

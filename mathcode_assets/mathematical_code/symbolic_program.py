"""A short Python program, as a person would write it, that works out an expression and prints the result.

Only the expression enters the program. Of the stated result just its form is looked at, never its value: whether it
is a decimal (then a decimal is printed), a product or a sum (then the program factors or expands).
"""

from __future__ import annotations

import re

from mathcode_assets.latex.nodes import Add, Call, Constant, Multiply, Node, Number, Power, free_symbols, walk
from mathcode_assets.latex.python_source import python_source
from mathcode_assets.latex.vocabulary import TRIGONOMETRIC

_CALCULUS = frozenset(("Integral", "Sum", "Product", "Limit", "Derivative"))
_COMMENTS = {
    "Integral": "evaluate the integral",
    "Sum": "evaluate the sum",
    "Product": "evaluate the product",
    "Limit": "evaluate the limit",
    "Derivative": "differentiate",
}
_NAME = re.compile(r"(?<![\w.\"])[A-Za-z_]\w*")
_STRINGS = re.compile(r'"[^"]*"')


def write_program(expression: Node, result: Node) -> str:
    """The program for an expression.

    Args:
        expression: the side to be worked out.
        result: the stated result, of which only the form is used.
    """
    code = python_source(expression)
    unknowns = sorted(_all_symbols(expression))
    steps, last = _steps(expression, result, code)
    body = "\n".join(steps)
    printed = f"print({last})"
    names = {name for name in _NAME.findall(_STRINGS.sub("", f"{body}\n{printed}")) if name not in unknowns}
    imported = sorted(names - {"print", "result", "expression", "True", "abs"})
    lines = []
    if unknowns:
        imported = sorted({*imported, "symbols"})
    if imported:
        lines += [f"from sympy import {', '.join(imported)}", ""]
    if unknowns:
        lines += [f'{", ".join(unknowns)} = symbols("{" ".join(unknowns)}"{_assumptions(expression)})', ""]
    return "\n".join([*lines, *steps, printed])


def _steps(expression: Node, result: Node, code: str) -> tuple[list[str], str]:
    kinds = {node.name for node in walk(expression) if isinstance(node, Call)}
    is_decimal = any(isinstance(node, Number) and not node.is_integer for node in walk(result))
    calculus = sorted(kinds & _CALCULUS)
    if calculus:
        comment = ", ".join(dict.fromkeys(_COMMENTS[name] for name in calculus))
        steps = [f"expression = {code}", f"# {comment}", "result = expression.doit()"]
        return steps, _decimal("result") if is_decimal and not free_symbols(expression) else _tidied("result", result)
    if not free_symbols(expression):
        steps = [f"result = {code}"]
        if is_decimal:
            return steps, _decimal("result")
        return steps, "radsimp(result)" if _has_root_below(expression) else "result"
    return [f"expression = {code}"], _worked_out(expression, result)


def _worked_out(expression: Node, result: Node) -> str:
    names = {node.name for part in (expression, result) for node in walk(part) if isinstance(node, Call)}
    if "log" in names:
        return "expand_log(simplify(expression), force=True)"
    if names & {"binomial", "factorial", "gamma"}:
        return "simplify(expression)"
    if names & TRIGONOMETRIC:
        return "trigsimp(expression)"
    if names & {"sqrt", "root", "exp", "Abs"} or _has_symbolic_power(expression):
        return "simplify(expression)"
    if isinstance(result, Add) and _has_quotient(result):
        return "apart(expression)" if len(free_symbols(expression)) == 1 else "expand(expression)"
    if isinstance(result, Add):
        return "expand(expression)"
    return "factor(expression)"


def _tidied(name: str, result: Node) -> str:
    return f"simplify({name})"


def _decimal(name: str) -> str:
    return f"N({name})"


def _has_symbolic_power(node: Node) -> bool:
    return any(isinstance(part, Power) and not isinstance(part.exponent, Number) for part in walk(node))


def _has_quotient(node: Node) -> bool:
    return any(
        isinstance(part, Multiply) and any(divides and free_symbols(factor) for factor, divides in part.factors)
        for part in walk(node)
    )


def _has_root_below(node: Node) -> bool:
    """Whether a root stands in a denominator."""
    return any(
        isinstance(part, Multiply)
        and any(
            divides and any(isinstance(inner, Call) and inner.name == "sqrt" for inner in walk(factor))
            for factor, divides in part.factors
        )
        for part in walk(node)
    )


def _all_symbols(node: Node) -> set[str]:
    from mathcode_assets.latex.nodes import Symbol

    return {part.name for part in walk(node) if isinstance(part, Symbol) and part.name.isidentifier()}


def _assumptions(node: Node) -> str:
    """Assumptions on the unknowns, where an integral or an endless sum would otherwise split into cases."""
    integrals = [part for part in walk(node) if isinstance(part, Call) and part.name == "Integral"]
    has_free_bounds = any(free_symbols(part) for part in integrals)
    is_endless = any(part == Constant("oo") for part in walk(node))
    return ", positive=True" if integrals and has_free_bounds and not is_endless else ""

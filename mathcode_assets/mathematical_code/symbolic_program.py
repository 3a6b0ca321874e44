"""A short Python program, as a person would write it, that works out an expression and prints the result.

Only the expression enters the program. Of the stated result just its form is looked at, never its value: whether it
is a decimal (then a decimal is printed), a product or a sum (then the program factors or expands).
"""

from __future__ import annotations

import re

from mathcode_assets.latex.nodes import (
    Add,
    Call,
    Multiply,
    Negate,
    Node,
    Number,
    Power,
    Sequence,
    Symbol,
    children,
    free_symbols,
    walk,
)
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
# Strings, comments and names of keyword arguments.
_NOT_CODE = re.compile(r'"[^"]*"|#[^\n]*|\w+=(?=\w)')
_NOT_IMPORTED = frozenset(("print", "result", "expression", "True", "doit", "open", "Lopen", "Ropen"))


def write_program(expression: Node, result: Node) -> str:
    """The program for an expression.

    Args:
        expression: the side to be worked out.
        result: the stated result, of which only the form is used.
    """
    code = python_source(expression if _has_decimals(result) else _exact(expression))
    unknowns = sorted(_all_symbols(expression))
    steps, last = _steps(expression, result, code)
    body = "\n".join(steps)
    printed = f"print({last})"
    called = _NAME.findall(_NOT_CODE.sub("", f"{body}\n{printed}"))
    imported = sorted({name for name in called if name not in unknowns} - _NOT_IMPORTED)
    lines = []
    if unknowns:
        imported = sorted({*imported, "symbols"})
    if imported:
        lines += [f"from sympy import {', '.join(imported)}", ""]
    if unknowns:
        lines += [*_declarations(expression, unknowns), ""]
    return "\n".join([*lines, *steps, printed])


def _steps(expression: Node, result: Node, code: str) -> tuple[list[str], str]:
    kinds = {node.name for node in walk(expression) if isinstance(node, Call)}
    is_decimal = _has_decimals(result)
    calculus = sorted(kinds & _CALCULUS)
    if calculus:
        comment = ", ".join(dict.fromkeys(_COMMENTS[name] for name in calculus))
        steps = [f"expression = {code}", f"# {comment}", "result = expression.doit()"]
        return steps, _decimal("result") if is_decimal and not free_symbols(expression) else "simplify(result)"
    if not free_symbols(expression):
        steps = [f"result = {code}"]
        if is_decimal:
            return steps, _decimal("result")
        return steps, "radsimp(result)" if _has_root_below(expression) else "result"
    return [f"expression = {code}"], _worked_out(expression, result)


def _has_decimals(node: Node) -> bool:
    return any(isinstance(part, Number) and not part.is_integer for part in walk(node))


def _exact(node: Node) -> Node:
    """The tree with decimals as fractions, so that a result without decimals comes out exact."""
    match node:
        case Number(text) if not node.is_integer and "e" not in text.lower():
            whole, _, digits = text.partition(".")
            return Call("Rational", (Number(str(int(whole + digits))), Number(str(10 ** len(digits)))))
        case Add(terms):
            return Add(tuple(map(_exact, terms)))
        case Multiply(factors):
            return Multiply(tuple((_exact(factor), divides) for factor, divides in factors))
        case Negate(operand):
            return Negate(_exact(operand))
        case Power(base, exponent):
            return Power(_exact(base), _exact(exponent))
        case Call(name, arguments):
            return Call(name, tuple(map(_exact, arguments)))
        case Sequence(items, is_list):
            return Sequence(tuple(map(_exact, items)), is_list)
        case _:
            return node


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
    return {part.name for part in walk(node) if isinstance(part, Symbol) and part.name.isidentifier()}


def _declarations(node: Node, unknowns: list[str]) -> list[str]:
    """The lines that declare the unknowns; the parameters of a definite integral are positive.

    Without an assumption SymPy splits such an integral into cases.
    """
    parameters: set[str] = set()
    for part in walk(node):
        if isinstance(part, Call) and part.name == "Integral" and len(children(part.arguments[1])) == 3:
            parameters |= free_symbols(part)
    parameters &= free_symbols(node)
    groups = [
        ([name for name in unknowns if name not in parameters], ""),
        ([name for name in unknowns if name in parameters], ", positive=True"),
    ]
    return [f'{", ".join(names)} = symbols("{" ".join(names)}"{assumption})' for names, assumption in groups if names]

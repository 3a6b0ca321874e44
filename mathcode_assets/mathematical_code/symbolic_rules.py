r"""Which equations state the result of a computation: decided by their form alone, never by whether they are true.

An equation is a computation where the left side can be worked out to the right side. Not computations are

- definitions and assignments: a bare unknown on the left (``x = 5``, ``A = \pi r^2``), a call of an unknown function;
- conditions on unknowns (``2x + 3 = 7``, ``x + y = 5``, ``PV = nRT``): an unknown that occurs once in the whole
  equation can have any value in no identity. An occurrence inside a factor 0, an exponent 0 or below 0 in a binomial
  does not count. Also polynomials equal to a number, and sums of unlike terms without anything to expand;
- an equation to 0 in unknowns, unless a factor 0 makes it one; a sum that equals a bare unknown;
- repetitions: the same tree on both sides.

A false statement of the right form (``2 + 2 = 5``) is a computation, and verification refutes it.
"""

from __future__ import annotations

from collections import Counter

from mathcode_assets.latex.nodes import (
    Add,
    Call,
    Chain,
    Constant,
    Multiply,
    Negate,
    Node,
    Number,
    Power,
    Sequence,
    Symbol,
    Text,
    children,
    free_symbols,
    walk,
)

_CALCULUS = frozenset(("Integral", "Sum", "Product", "Limit", "Derivative"))
_SETS = frozenset(("FiniteSet", "Union", "Intersection", "Complement", "Piecewise"))
# Constants of integration that a text may add on the right.
_INTEGRATION_CONSTANTS = frozenset(("C", "c", "K", "k", "C_1", "C_2"))


def is_value(node: Node) -> bool:
    """Whether a side is a number or an expression (not a list, a set, words or a relation)."""
    return not any(
        isinstance(part, Chain | Text)
        or (isinstance(part, Sequence) and not _is_inside_call(node))
        or (isinstance(part, Call) and (part.name in _SETS or part.name.startswith("Interval")))
        or (isinstance(part, Constant) and part.name in ("EmptySet", "Reals", "Integers", "Naturals", "Rationals"))
        for part in walk(node)
    )


def _is_inside_call(node: Node) -> bool:
    """Whether sequences in a tree are the bounds of sums or the rows of matrices."""
    return not isinstance(node, Sequence)


def is_literal(node: Node) -> bool:
    """Whether nothing is left to compute: a number, a constant, an unknown, with or without a sign."""
    if isinstance(node, Negate):
        return is_literal(node.operand)
    if isinstance(node, Call):
        return node.name == "Matrix" or (node.name == "Rational" and all(map(is_literal, node.arguments)))
    return isinstance(node, Number | Constant | Symbol)


def is_computation(left: Node, right: Node) -> bool:
    """Whether the right side can be the result of working out the left one."""
    if left == right or is_literal(left) or not is_value(left) or not is_value(right):
        return False
    if any(map(_has_unclear_root, (left, right))) or any(map(_has_letter_matrix, (left, right))):
        return False
    symbols, stated = free_symbols(left), free_symbols(right)
    if symbols and _is_worked_out(left, right):
        return False
    if not symbols:
        return not stated
    kinds = {node.name for node in walk(left) if isinstance(node, Call)}
    if kinds & _CALCULUS:
        return _is_calculus(left, symbols, stated, kinds)
    if not stated <= symbols:
        return False
    occurrences = _occurrences(left) + _occurrences(right)
    if any(count == 1 for count in occurrences.values()):
        return False
    if not stated:
        if any(isinstance(part, Power) and free_symbols(part.exponent) for part in walk(left)):
            return not occurrences
        return not occurrences or (right != Number("0") and not _is_polynomial(left))
    if isinstance(right, Symbol) and isinstance(left, Add):
        return False
    if not symbols - stated or not _is_polynomial(left):
        return not (_is_polynomial(left) and _is_polynomial(right)) or _can_be_worked_out(left, right)
    return _can_be_worked_out(left, right)


def _is_calculus(left: Node, symbols: frozenset[str], stated: frozenset[str], kinds: set[str]) -> bool:
    added = stated - symbols
    if added and not ("Integral" in kinds and added <= _INTEGRATION_CONSTANTS and len(added) == 1):
        return False
    for node in walk(left):
        # A letter that may depend on the variable: `d/dx (u v)`.
        if isinstance(node, Call) and node.name == "Derivative":
            variable = node.arguments[1]
            if isinstance(variable, Symbol) and variable.name not in free_symbols(node.arguments[0]):
                return False
    return not any("prime" in name for name in symbols | stated)


def _is_worked_out(left: Node, right: Node) -> bool:
    """Whether a left side in unknowns holds nothing to work out: a power or magnitude of one, or ``ff = f``."""
    if isinstance(left, Power) and isinstance(left.base, Symbol):
        return isinstance(right, Symbol) or (isinstance(right, Power) and isinstance(right.base, Symbol))
    if isinstance(left, Call) and left.name == "Abs" and isinstance(left.arguments[0], Symbol):
        return True
    is_letters = isinstance(left, Multiply) and all(isinstance(factor, Symbol) for factor, _ in left.factors)
    return is_letters and isinstance(right, Symbol) and not any(divides for _, divides in left.factors)


def _has_letter_matrix(node: Node) -> bool:
    """Whether a determinant, trace or transpose is taken of letters."""
    return any(
        isinstance(part, Call)
        and part.name in ("det", "trace", "transpose")
        and not any(isinstance(inner, Call) and inner.name == "Matrix" for inner in walk(part))
        for part in walk(node)
    )


def has_calculus(node: Node) -> bool:
    """Whether an integral, sum, product, limit or derivative is still to be worked out."""
    return any(isinstance(part, Call) and part.name in _CALCULUS for part in walk(node))


def is_algebraic(left: Node, right: Node) -> bool:
    """Whether an equation may be about elements of a group or ring: reading its letters as numbers proves nothing.

    That is, both sides are products of letters without numbers (their order may matter), or a sum stands under an
    exponent in letters (the rule may hold in one characteristic only).
    """
    if not free_symbols(left):
        return False
    parts = [*walk(left), *walk(right)]
    if any(isinstance(part, Power) and isinstance(part.base, Add) and free_symbols(part.exponent) for part in parts):
        return True
    if not any(isinstance(part, Add) and _is_factor(part, left, right) for part in parts):
        return not any(isinstance(part, Call) for part in parts) and not _has_coefficient(left)
    return False


def _is_factor(part: Add, left: Node, right: Node) -> bool:
    """Whether a sum stands outside exponents."""
    return any(part is inner for side in (left, right) for inner in _outside_exponents(side))


def _outside_exponents(node: Node) -> list[Node]:
    if isinstance(node, Power):
        return [node, *_outside_exponents(node.base)]
    return [node, *(inner for child in children(node) for inner in _outside_exponents(child))]


def _has_coefficient(node: Node) -> bool:
    """Whether a number stands outside exponents."""
    return any(isinstance(part, Number | Constant) for part in _outside_exponents(node))


def _has_unclear_root(node: Node) -> bool:
    """Whether a negative number stands under a fractional exponent: real root or principal value?"""
    return any(
        isinstance(part, Power)
        and isinstance(part.base, Negate)
        and not free_symbols(part.base)
        and any(isinstance(inner, Multiply | Call) for inner in walk(part.exponent))
        for part in walk(node)
    )


def _occurrences(node: Node) -> Counter[str]:
    """How often each unknown occurs where its value matters."""
    match node:
        case Symbol(name):
            return Counter((name,))
        case Multiply(factors) if any(factor == Number("0") and not divides for factor, divides in factors):
            return Counter()
        case Power(_, Number("0")) | Call("binomial", (_, Number("0"))):
            return Counter()
        case _:
            total: Counter[str] = Counter()
            for child in children(node):
                total += _occurrences(child)
            return total


def _is_polynomial(node: Node) -> bool:
    """Whether a side is built of unknowns and numbers with sums, products and whole powers only."""
    match node:
        case Number() | Symbol() | Constant():
            return True
        case Add(terms):
            return all(map(_is_polynomial, terms))
        case Negate(operand):
            return _is_polynomial(operand)
        case Multiply(factors):
            return all(_is_polynomial(factor) and not (divides and free_symbols(factor)) for factor, divides in factors)
        case Power(base, Number() as exponent):
            return _is_polynomial(base) and exponent.is_integer
        case _:
            return not free_symbols(node)


def _can_be_worked_out(left: Node, right: Node) -> bool:
    """Whether polynomials differ by expanding, factoring or collecting like terms, judged by their form."""
    is_monomial = not any(isinstance(part, Add) for part in walk(right))
    if is_monomial and not _has_like_terms(left):
        return False
    if _has_structure(left) or _has_structure(right):
        return True
    left_terms, right_terms = _terms(left), _terms(right)
    if len(left_terms) > 1 and len(right_terms) > 1:
        return False
    kinds = {free_symbols(term) for term in (*left_terms, *right_terms)}
    return len(kinds) == 1


def _has_like_terms(node: Node) -> bool:
    """Whether all terms of a sum hold the same letters equally often, and no number stands alone in a sum."""
    sums = [part for part in walk(node) if isinstance(part, Add)]
    if any(not free_symbols(term) for part in sums for term in part.terms):
        return False
    return not isinstance(node, Add) or len({tuple(sorted(_degrees(term).items())) for term in node.terms}) == 1


def _degrees(node: Node) -> Counter[str]:
    """How often each letter is a factor of a term."""
    if isinstance(node, Power) and isinstance(node.exponent, Number) and node.exponent.is_integer:
        times = min(int(node.exponent.text[:4]), 1_000)
        return Counter({name: count * times for name, count in _degrees(node.base).items()})
    if isinstance(node, Symbol):
        return Counter((node.name,))
    total: Counter[str] = Counter()
    for child in children(node):
        total += _degrees(child)
    return total


def _has_structure(node: Node) -> bool:
    """Whether there is a product or a power of a sum."""
    return any(
        (isinstance(part, Multiply) and any(isinstance(factor, Add) for factor, _ in part.factors))
        or (isinstance(part, Power) and isinstance(part.base, Add | Multiply))
        for part in walk(node)
    )


def _terms(node: Node) -> tuple[Node, ...]:
    return node.terms if isinstance(node, Add) else (node,)

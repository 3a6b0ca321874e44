"""Values from Python and SymPy source text, through `ast.parse` and a whitelist: nothing is evaluated.

Every name is looked up in a table, attributes only as spellings of a name (`np.pi`, `Interval.open`), so the
worst a hostile string can be is unreadable. Sizes are bounded before the parser sees the text.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable

from mathcode_assets.verification.building import (
    applied,
    combined_product,
    named,
    number,
    power,
    quotient,
    scaled,
    sum_of,
    unquoted,
)
from mathcode_assets.verification.functions import (
    INTERVALS,
    MODULES,
)
from mathcode_assets.verification.values import (
    IMAGINARY,
    MINUS_ONE,
    SCALARS,
    Boolean,
    Call,
    Combined,
    Interval,
    Logic,
    Mapping,
    Matrix,
    Relation,
    Scalar,
    Sequence,
    Text,
    Unreadable,
    Value,
    negated,
    product,
)

MAX_CHARS = 100_000  # of a text that is parsed; a longer one is no stated value
MAX_DEPTH = 60  # open brackets
MAX_CHAIN = 400  # operators without brackets: bounds the depth of the tree


def read_source(source: str) -> Value:
    """The value that Python or SymPy source text denotes.

    Raises:
        Unreadable: not an expression of the whitelist, or beyond the size limits.
    """
    text = " ".join(source.split())
    if len(text) > MAX_CHARS:
        raise Unreadable("too long")
    check_depth(text)
    text = re.sub(r"\blambda\b", "lamda", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1if x", invalid escapes: the parser's remarks on a stranger's text
            tree = ast.parse(text, mode="eval").body
        return _Reader(text).value(tree)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("not an expression") from None


def check_depth(text: str) -> None:
    """Refuse text nested too deeply to be parsed with a bounded stack.

    Raises:
        Unreadable: more than MAX_DEPTH open brackets, or a long run of signs or powers.
    """
    depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Unreadable("nested too deeply")
        elif character in ")]}":
            depth -= 1
    if re.search(r"(?:[-+~]\s*){40}|(?:\bnot\s+){40}", text) or text.count("**") > MAX_CHAIN:
        raise Unreadable("nested too deeply")


class _Reader:
    """Walks one syntax tree; keeps the text because a float's digits are only there."""

    def __init__(self, text: str) -> None:
        self._ascii = text.isascii()
        self._bytes = text.encode("utf-8", "surrogatepass")

    def value(self, node: ast.expr) -> Value:
        reader: Callable[..., Value] | None = getattr(self, "_" + type(node).__name__.lower(), None)
        if reader is None:
            raise Unreadable(f"{type(node).__name__} in a value")
        return reader(node)

    def scalar(self, node: ast.expr) -> Scalar:
        value = self.value(node)
        if not isinstance(value, SCALARS):
            raise Unreadable(f"{type(value).__name__} where a scalar is needed")
        return value

    def _constant(self, node: ast.Constant) -> Value:
        literal = node.value
        if isinstance(literal, bool):
            return Boolean(literal)
        if isinstance(literal, (int, float)):
            return number(self._source(node).replace("_", ""))
        if isinstance(literal, complex):
            return product((number(self._source(node)[:-1].replace("_", "")), IMAGINARY))
        if isinstance(literal, str):
            return Text(" ".join(literal.casefold().split()))
        raise Unreadable(f"{literal!r:.30} in a value")

    def _source(self, node: ast.expr) -> str:
        return self._bytes[node.col_offset : node.end_col_offset].decode("utf-8", "surrogatepass")

    def _name(self, node: ast.Name) -> Value:
        return named(node.id)

    def _attribute(self, node: ast.Attribute) -> Value:
        return named(self._dotted(node))

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in MODULES:
                return node.attr
            if f"{node.value.id}.{node.attr}" in INTERVALS:
                return f"{node.value.id}.{node.attr}"
        raise Unreadable("attribute access")

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        operand = self.value(node.operand)
        if isinstance(node.op, (ast.Not, ast.Invert)):
            return Logic("not", (operand,))
        if isinstance(operand, Matrix):
            return scaled(MINUS_ONE, operand) if isinstance(node.op, ast.USub) else operand
        if not isinstance(operand, SCALARS):
            raise Unreadable("sign before what is no number")
        return negated(operand) if isinstance(node.op, ast.USub) else operand

    def _binop(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, (ast.BitAnd, ast.BitOr)):
            parts = (self.value(node.left), self.value(node.right))
            if all(isinstance(part, (Interval, Combined, Sequence)) for part in parts):
                return Combined("union" if isinstance(node.op, ast.BitOr) else "intersection", parts)
            return Logic("and" if isinstance(node.op, ast.BitAnd) else "or", parts)
        # A long sum is a chain leaning left: walked with a loop, so that it needs no deep stack.
        chain: list[tuple[ast.operator, ast.expr]] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and not isinstance(left.op, (ast.BitAnd, ast.BitOr, ast.Pow)):
            chain.append((left.op, left.right))
            left = left.left
            if len(chain) > 50 * MAX_CHAIN:
                raise Unreadable("too many operators")
        if not chain:
            return power(self.scalar(node.left), self.scalar(node.right))
        value = self.value(left)
        terms: list[Value] = []  # the sum so far, its last term still open to factors
        for op, right in reversed(chain):
            operand = self.value(right)
            if isinstance(op, (ast.Add, ast.Sub)):
                terms.append(value)
                value = operand if isinstance(op, ast.Add) else combined_product(MINUS_ONE, operand)
            elif isinstance(op, (ast.Mult, ast.MatMult)):
                value = combined_product(_closed(terms, value), operand)
            elif isinstance(op, ast.Div):
                value = quotient(_closed(terms, value), operand)
            elif isinstance(op, ast.Mod):
                value = Call("Mod", (_closed(terms, value), operand))
            elif isinstance(op, ast.FloorDiv):
                value = Call("floor", (quotient(_closed(terms, value), operand),))
            else:
                raise Unreadable(f"operator {type(op).__name__}")
        return sum_of([*terms, value])

    def _tuple(self, node: ast.Tuple) -> Value:
        return Sequence("tuple", tuple(self.value(item) for item in node.elts))

    def _list(self, node: ast.List) -> Value:
        return Sequence("list", tuple(self.value(item) for item in node.elts))

    def _set(self, node: ast.Set) -> Value:
        return Sequence("set", tuple(self.value(item) for item in node.elts))

    def _dict(self, node: ast.Dict) -> Value:
        if any(key is None for key in node.keys):
            raise Unreadable("** in a dictionary")
        pairs = zip(node.keys, node.values, strict=True)
        return Mapping(tuple((self.value(key), self.value(item)) for key, item in pairs if key is not None))

    def _compare(self, node: ast.Compare) -> Value:
        names = {ast.Eq: "=", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
        sides = [self.value(side) for side in (node.left, *node.comparators)]
        parts = []
        for left, op, right in zip(sides, node.ops, sides[1:], strict=False):
            if type(op) not in names:
                raise Unreadable(f"operator {type(op).__name__}")
            parts.append(Relation(names[type(op)], left, right))
        return parts[0] if len(parts) == 1 else Logic("and", tuple(parts))

    def _boolop(self, node: ast.BoolOp) -> Value:
        return Logic("and" if isinstance(node.op, ast.And) else "or", tuple(self.value(part) for part in node.values))

    def _call(self, node: ast.Call) -> Value:
        name = self._dotted(node.func)
        keywords = {entry.arg: entry.value for entry in node.keywords}
        if name in ("mpc", "complex") and keywords.keys() == {"real", "imag"}:
            real, imaginary = (self.value(keywords[part]) for part in ("real", "imag"))
            return sum_of([unquoted(real), combined_product(unquoted(imaginary), IMAGINARY)])
        if not keywords.keys() <= {"dtype", "evaluate", "domain", "positive", "real", "integer", "precision", "x"}:
            raise Unreadable("keyword arguments")
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            raise Unreadable("starred argument")
        return applied(name, [self.value(argument) for argument in node.args])


def _closed(terms: list[Value], value: Value) -> Value:
    """The whole left operand of a factor, taken out of the open sum."""
    whole = sum_of([*terms, value])
    terms.clear()
    return whole

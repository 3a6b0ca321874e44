"""Values from Python and SymPy source text, through `ast.parse` and a whitelist: nothing is evaluated.

Every name is looked up in a table, attributes only as spellings of a name (`np.pi`, `Interval.open`), so the
worst a hostile string can be is unreadable. Sizes are bounded before the parser sees the text.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from fractions import Fraction

from mathcode_assets.verification.functions import (
    ARRAYS,
    COMBINATIONS,
    CONSTANTS,
    EMPTY_SETS,
    FUNCTIONS,
    INTERVALS,
    LOGIC,
    MATRICES,
    MODULES,
    REALS,
    RELATIONS,
    SEQUENCES,
    WRAPPERS,
    symbol_name,
)
from mathcode_assets.verification.values import (
    IMAGINARY,
    INFINITY,
    MINUS_ONE,
    SCALARS,
    Boolean,
    Call,
    Combined,
    Constant,
    Interval,
    Logic,
    Mapping,
    Matrix,
    Number,
    Pow,
    Relation,
    Scalar,
    Sequence,
    Symbol,
    Text,
    Unreadable,
    Value,
    integer,
    negated,
    product,
    total,
)

MAX_CHARS = 100_000  # of a text that is parsed; a longer one is no stated value
MAX_DEPTH = 60  # open brackets
MAX_DIGITS = 4_000  # of one literal: below CPython's limit of int(), and far above any stated value
MAX_EXPONENT = 5_000  # of a literal such as 1e300
MAX_CHAIN = 400  # operators without brackets: bounds the depth of the tree

DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\Z", re.ASCII)
KEYWORD_SYMBOLS = re.compile(r"\b(lambda|as|in|is|if|or|del|nonlocal|pass|raise)\b(?!\s*[:.])")


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


def number(text: str) -> Number:
    """A literal such as 42, -0.30, 6.02e23, with the places it was printed with.

    Raises:
        Unreadable: not such a literal, or with too many digits.
    """
    found = DECIMAL.match(text)
    if not found or not (found[2] or found[3]):
        raise Unreadable(f"not a number: {text[:30]!r}")
    sign, whole, fraction, exponent = found[1], found[2] or "", found[3], found[4]
    digits = whole + (fraction or "")
    if len(digits) > MAX_DIGITS or len(exponent or "") > 6 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise Unreadable("number too long")
    if fraction is None and exponent is None:
        return integer(int(sign + whole))
    places = len(fraction or "") - int(exponent or 0)
    mantissa = int(sign + digits)
    value = Fraction(mantissa, 10**places) if places >= 0 else Fraction(mantissa * 10**-places)
    return Number(value, places, len(digits.lstrip("0")) or 1)


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


def named(name: str) -> Value:
    """The constant, set or symbol of a name."""
    if name in CONSTANTS:
        return Constant(CONSTANTS[name])
    if name in EMPTY_SETS:
        return Sequence("set", ())
    if name in REALS:
        return Interval(negated(INFINITY), INFINITY, True, True)
    if name in ("true", "True_"):
        return Boolean(True)
    if name in ("false", "False_"):
        return Boolean(False)
    if name.startswith("__") or len(name) > 60:
        raise Unreadable("a name no value has")
    return Symbol(symbol_name(name))


def applied(name: str, arguments: list[Value]) -> Value:
    """A call of the whitelist; an unknown name applied to scalars is an undefined function."""
    if name in RELATIONS and len(arguments) == 2:
        return Relation(RELATIONS[name], arguments[0], arguments[1])
    if name in LOGIC and arguments:
        return arguments[0] if name != "Not" and len(arguments) == 1 else Logic(LOGIC[name], tuple(arguments))
    if name in INTERVALS and len(arguments) in (2, 4):
        return interval(name, arguments)
    if name in COMBINATIONS:
        return Combined(COMBINATIONS[name], tuple(arguments))
    if name in MATRICES or name in ARRAYS:
        return matrix_or_list(name, arguments)
    if name in SEQUENCES:
        inner = arguments[0].items if len(arguments) == 1 and isinstance(arguments[0], Sequence) else tuple(arguments)
        return Sequence(SEQUENCES[name], inner)
    if name in WRAPPERS and arguments:
        return unquoted(arguments[0])
    if name == "bool" and len(arguments) == 1 and isinstance(arguments[0], Boolean):
        return arguments[0]
    if name in ("Rational", "Fraction", "mpq") and len(arguments) in (1, 2):
        values = [unquoted(argument) for argument in arguments]
        return values[0] if len(values) == 1 else quotient(values[0], values[1])
    if name in ("Poly", "simplify", "nsimplify", "N", "expand", "factor", "Expr", "UnevaluatedExpr", "poly1d"):
        if name == "poly1d" or not arguments:
            raise Unreadable(name)
        return arguments[0]
    if name == "Symbol" and arguments and isinstance(arguments[0], Text):
        return Symbol(symbol_name(arguments[0].text))
    if name in FUNCTIONS and arguments:
        return Call(FUNCTIONS[name], tuple(arguments))
    if arguments and all(isinstance(argument, SCALARS) for argument in arguments) and not name.startswith("_"):
        return Call("?" + symbol_name(name), tuple(arguments))
    raise Unreadable(f"call of {name[:30]}")


def interval(name: str, arguments: list[Value]) -> Value:
    """Interval(a, b), Interval.open(a, b), Interval(a, b, left_open, right_open)."""
    low, high, *flags = arguments
    if not isinstance(low, SCALARS) or not isinstance(high, SCALARS):
        raise Unreadable("interval of what are no numbers")
    opened = INTERVALS[name]
    if flags:
        if not all(isinstance(flag, Boolean) for flag in flags):
            raise Unreadable("interval flags")
        opened = (flags[0].value, flags[1].value)  # type: ignore[union-attr]
    return Interval(low, high, *opened)


def matrix_or_list(name: str, arguments: list[Value]) -> Value:
    """Matrix([[1, 2], [3, 4]]), Matrix(2, 2, [1, 2, 3, 4]), array([1, 2])."""
    if len(arguments) == 3 and isinstance(arguments[2], Sequence):
        n_rows, n_columns = (small_integer(argument) for argument in arguments[:2])
        entries = arguments[2].items
        if n_rows * n_columns != len(entries) or not entries:
            raise Unreadable("matrix of another size")
        return Matrix(tuple(entries[start : start + n_columns] for start in range(0, len(entries), n_columns)))
    if len(arguments) != 1 or not isinstance(arguments[0], Sequence):
        if len(arguments) == 1 and name in ARRAYS:
            return arguments[0]
        raise Unreadable("matrix of what is no list")
    rows = rows_of(arguments[0])
    if rows is not None:
        return Matrix(rows)
    if name in ARRAYS:
        return Sequence("list", arguments[0].items)
    return Matrix(tuple((item,) for item in arguments[0].items))


def rows_of(value: Sequence) -> tuple[tuple[Value, ...], ...] | None:
    """Rows of a list of lists of one length; None where it is no such list."""
    items = value.items
    if not items or not all(isinstance(row, Sequence) and row.kind in ("list", "tuple") for row in items):
        return None
    rows = tuple(row.items for row in items if isinstance(row, Sequence))
    same = len({len(row) for row in rows}) == 1 and rows[0]
    return rows if same and not any(isinstance(entry, Sequence) for row in rows for entry in row) else None


def unquoted(value: Value) -> Value:
    """Decimal('0.1') holds a string: the number in it."""
    if isinstance(value, Text):
        head, slash, tail = value.text.partition("/")
        if value.text.strip("+-") in ("inf", "infinity"):
            return negated(INFINITY) if value.text.startswith("-") else INFINITY
        if value.text == "nan":
            return Constant("nan")
        return quotient(number(head.strip()), number(tail.strip())) if slash else number(head)
    return value


def small_integer(value: Value) -> int:
    """An exact integer literal of at most three digits.

    Raises:
        Unreadable: anything else.
    """
    if isinstance(value, Number) and value.value.denominator == 1 and 0 <= value.value < 1000:
        return value.value.numerator
    raise Unreadable("not a small integer")


def scaled(factor: Scalar, matrix: Matrix) -> Matrix:
    """A scalar times a matrix."""
    return Matrix(tuple(tuple(combined_product(factor, entry) for entry in row) for row in matrix.rows))


def combined_product(left: Value, right: Value) -> Value:
    """Product of scalars, or of a scalar and a matrix."""
    if isinstance(left, SCALARS) and isinstance(right, SCALARS):
        if left == MINUS_ONE:
            return negated(right)
        return product((left, right))
    if isinstance(left, SCALARS) and isinstance(right, Matrix):
        return scaled(left, right)
    if isinstance(left, Matrix) and isinstance(right, SCALARS):
        return scaled(right, left)
    raise Unreadable("product of what are no numbers")


def quotient(left: Value, right: Value) -> Value:
    """Left over right; of two exact integers a rational."""
    if isinstance(right, Number) and right.places is None and right.value:
        if isinstance(left, Number) and left.places is None:
            return Number(left.value / right.value)
        if isinstance(left, Matrix):
            return scaled(Number(1 / right.value), left)
    if isinstance(left, SCALARS) and isinstance(right, SCALARS):
        return product((left, Pow(right, MINUS_ONE)))
    raise Unreadable("quotient of what are no numbers")


def sum_of(terms: list[Value]) -> Value:
    """Sum of scalars, or of matrices of one shape; the difference of two sets."""
    if len(terms) == 1:
        return terms[0]
    if all(isinstance(term, SCALARS) for term in terms):
        return total(tuple(terms))  # type: ignore[arg-type]
    if all(isinstance(term, Matrix) for term in terms):
        shapes = {(len(term.rows), len(term.rows[0])) for term in terms if isinstance(term, Matrix)}
        if len(shapes) == 1:
            stacks = zip(*(term.rows for term in terms if isinstance(term, Matrix)), strict=True)
            return Matrix(tuple(tuple(sum_of(list(entries)) for entries in zip(*rows, strict=True)) for rows in stacks))
    raise Unreadable("sum of what are no numbers")


def power(base: Scalar, exponent: Scalar) -> Scalar:
    """Base to the exponent, never worked out here."""
    return Pow(base, exponent)

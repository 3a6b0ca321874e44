"""What GNU Octave displays of a matrix, as values: rows of cells, groups of columns, complex cells, common factors.

Octave shows five significant digits unless it is told otherwise, integers in full; each cell keeps the places it was
printed with, so that the rules for decimals hold for it. A display that is not wholly understood is unreadable: cell
arrays, structures, sparse matrices, more than two dimensions, text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Sequence as Items
from dataclasses import dataclass
from fractions import Fraction

from mathcode_assets.verification.building import named, number
from mathcode_assets.verification.values import (
    IMAGINARY,
    INFINITY,
    MINUS_ONE,
    Matrix,
    Number,
    Scalar,
    Sequence,
    Unreadable,
    Value,
    negated,
    product,
    total,
)

MAX_CELLS = 10_000

_REAL = r"(?:\d+\.?\d*(?:[eE][-+]\d+)?|\.\d+|Inf|NaN)"
_CELL = re.compile(rf"\s*([-+]?{_REAL})(?:\s([-+])\s*({_REAL})[ij])?(?=\s|\Z)", re.ASCII)
_COMPLEX = rf"[-+]?{_REAL}\s[-+]\s*{_REAL}[ij]"
_COMPLEX_ROW = re.compile(rf"\s*{_COMPLEX}(?:\s+{_COMPLEX})+\s*\Z", re.ASCII)
_OPENING = re.compile(r"\s*([A-Za-z_]\w*) =\s*\Z", re.ASCII)
_SPECIAL_MATRIX = re.compile(r"\s*(?:Diagonal|Permutation) Matrix\s*\Z")
_FACTOR = re.compile(r"\s*(\d(?:\.\d*)?e[-+]\d+)\s+\*\s*\Z", re.ASCII)
_COLUMNS = re.compile(r"\s*Columns? (\d{1,6})(?:(?: through| and) (\d{1,6}))?:\s*\Z", re.ASCII)
_LITERAL = re.compile(r"\[([^\[\]()]*;[^\[\]()]*)\]\Z")
# Of a program: what it prints is then no number in decimal digits, or a fraction near the number.
_OTHER_DIGITS = re.compile(r"(?<![.\w])(?:format\b[\s('\"]*(?:rat|hex|bit|native-hex|native-bit)\b|rats?\s*\()")


@dataclass(frozen=True, slots=True)
class Display:
    """A matrix that was displayed, and the name it has in the program."""

    label: str
    value: Value


def prints_other_digits(code: str) -> bool:
    """Whether an Octave program shows numbers as nearby fractions or as bits: nothing exact may be read from that."""
    return _OTHER_DIGITS.search(code) is not None


def displays(text: str) -> Iterator[str | Display]:
    """The text in order: displays of matrices, and what stands between them.

    Raises:
        Unreadable: a display begins, and is none of a matrix of numbers.
    """
    lines = text.split("\n")
    start = position = 0
    while position < len(lines):
        opening = _OPENING.match(lines[position])
        if opening is None or position + 1 >= len(lines) or lines[position + 1].strip():
            position += 1
            continue
        if start < position:
            yield "\n".join(lines[start:position])
        rows, position = _rows(lines, position + 2)
        yield Display(opening[1], matrix(rows))
        start = position
    if start < len(lines):
        yield "\n".join(lines[start:])


def matrix(rows: Items[Items[Scalar]]) -> Value:
    """One row is a list, as it would be in other languages; anything else a matrix."""
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise Unreadable("rows of different lengths")
    if sum(len(row) for row in rows) > MAX_CELLS:
        raise Unreadable("too many cells")
    return Sequence("list", tuple(rows[0])) if len(rows) == 1 else Matrix(tuple(tuple(row) for row in rows))


def complex_row(text: str) -> Value | None:
    """`1 + 2i   3 - 4i`: several complex numbers in a line; None where the text is none."""
    return Sequence("bare", tuple(_cells(text))) if _COMPLEX_ROW.match(text) else None


def literal(text: str) -> Value | None:
    """`[1 2;3 4]`, as mat2str prints a matrix; None where the text is none."""
    found = _LITERAL.match(text)
    if not found:
        return None
    return matrix([_cells(row.replace(",", " ")) for row in found[1].split(";")])


def _rows(lines: Items[str], position: int) -> tuple[list[list[Scalar]], int]:
    """The rows of a display that begins after its name, and the line after them."""
    factor: Number | None = None
    if position < len(lines) and _SPECIAL_MATRIX.match(lines[position]):
        position = _after_blank(lines, position + 1)
    if position < len(lines) and (found := _FACTOR.match(lines[position])):
        factor = number(found[1])
        position = _after_blank(lines, position + 1)
    rows: list[list[Scalar]] = []
    if position >= len(lines) or not _COLUMNS.match(lines[position]):
        position = _group(lines, position, rows, factor)
        return rows, position
    n_columns = 0
    while position < len(lines) and (found := _COLUMNS.match(lines[position])):
        first, last = int(found[1]), int(found[2] or found[1])
        group: list[list[Scalar]] = []
        position = _group(lines, _after_blank(lines, position + 1), group, factor)
        if first != n_columns + 1 or any(len(row) != last - n_columns for row in group):
            raise Unreadable("groups of columns that do not fit")
        if rows and len(rows) != len(group):
            raise Unreadable("groups of different heights")
        rows = [left + right for left, right in zip(rows, group, strict=True)] if rows else group
        n_columns = last
        following = _after_blank(lines, position)
        if following < len(lines) and _COLUMNS.match(lines[following]):
            position = following
    return rows, position


def _group(lines: Items[str], position: int, rows: list[list[Scalar]], factor: Number | None) -> int:
    """Collect the rows up to an empty line; the position of that line."""
    while position < len(lines) and lines[position].strip():
        rows.append([_scaled(cell, factor) for cell in _cells(lines[position])])
        position += 1
    return position


def _after_blank(lines: Items[str], position: int) -> int:
    while position < len(lines) and not lines[position].strip():
        position += 1
    return position


def _cells(line: str) -> list[Scalar]:
    """The numbers of a row.

    Raises:
        Unreadable: it holds anything else, or complex cells beside real ones.
    """
    cells: list[Scalar] = []
    is_complex: set[bool] = set()
    position = 0
    line = line.rstrip()
    while position < len(line):
        found = _CELL.match(line, position)
        if not found:
            raise Unreadable(f"no row of numbers: {line[:60]!r}")
        real = _real(found[1])
        is_complex.add(found[3] is not None)
        if found[3] is not None:
            imaginary = product((_real(found[3]), IMAGINARY))
            real = total((real, imaginary if found[2] == "+" else negated(imaginary)))
        cells.append(real)
        position = found.end()
    if len(is_complex) > 1:
        raise Unreadable("complex cells beside real ones")
    return cells


def _real(text: str) -> Scalar:
    digits = text.lstrip("+-")
    if digits == "NaN":
        value = named("nan")
        assert isinstance(value, Scalar)
        return value
    if digits == "Inf":
        return product((MINUS_ONE, INFINITY)) if text.startswith("-") else INFINITY
    return number(text)


def _scaled(cell: Scalar, factor: Number | None) -> Scalar:
    """A cell times the common factor, a power of ten, with its places."""
    if factor is None or not isinstance(cell, Number) or cell.places is None:
        if factor is not None and cell != Number(Fraction(0)):
            raise Unreadable("a common factor before other cells than decimals")
        return cell
    exponent = len(str(int(factor.value))) - 1 if factor.value >= 1 else 1 - len(str(int(1 / factor.value)))
    return Number(cell.value * factor.value, cell.places - exponent, cell.digits)

"""Translation by rules: the equations of a passage as programs that work out one side. No model, no key, no GPU.

Every equation whose form is that of a computation (symbolic_rules) gives one, true or not: whether the stated result
is right is found by running the program and comparing, like any model's answer. It reads only what the LaTeX parser
understands with certainty, so it finds less than a model, at thousands of times the speed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from mathcode_assets.latex.equations import Equation, Operand, find_equations
from mathcode_assets.latex.nodes import Call, Constant, LatexSyntaxError, Node, Number, free_symbols, walk
from mathcode_assets.latex.parser import Formula, parse, unknown_letters
from mathcode_assets.latex.spans import MathSpan, find_math
from mathcode_assets.llm.generator import Completion, Request
from mathcode_assets.mathematical_code.prompts import NO_COMPUTATIONS, PYTHON, titled_answer
from mathcode_assets.mathematical_code.symbolic_program import write_program
from mathcode_assets.mathematical_code.symbolic_rules import has_calculus, is_algebraic, is_computation, is_literal

NAME = "symbolic@1"

# An operand longer than this is a page of a proof, not a computation.
MAX_OPERAND_CHARS = 1_500
MAX_CONDITION_CHARS = 600

_SENTENCE_END = re.compile(r"[.!?](?=\s+[A-Z0-9$\\(])|\n\s*\n")
_CALL = re.compile(
    r"(?<![\\a-zA-Z])([A-Za-z])\s*(?:\\left\s*)?\(\s*(?:[a-zA-Z]|\\[a-z]+)\s*(?:\\right\s*)?\)\s*(?:&\s*)?="
)
# Words that say an equation is to be solved, or holds under a condition.
_CUES = re.compile(r"\b(?:[Ss]olve|[Ss]olving|[Ss]atisf|if and only if|iff\b|equivalent to|such that)")
_ANSWER = re.compile(r"\s*(?:\\\\|\$|,|\.|;|\s){0,6}\$\s*[a-z]\s*=\s*-?[\d\\]")
# Without any of these, e is a letter like another.
_EXPONENTIAL = re.compile(r"e\s*\^|\\ln(?![a-z])|\\exp|\bexp\b|Euler|exponential|natural log")
# Letters in these fonts are sets, ideals, families: no numbers.
_NO_NUMBER = re.compile(r"\\math(?:cal|frak|scr|bb)|\\aleph")
# Legendre symbols look like fractions in parentheses.
_RESIDUES = re.compile(r"Legendre|Jacobi|[Rr]esidue|\\equiv")
_LEGENDRE = re.compile(r"-?\s*\\left\(\s*\\frac\s*\{[^{}]*\}\s*\{[^{}]*\}\s*\\right\)")
# `(123)(13)`: cycles of a permutation, not a product of numbers.
_CYCLES = re.compile(r"(?:\[?(?:\(\d\d+\))+\]?(?:\^\{?\d\}?)?)+")
# Where letters stand for elements of groups, rings, modules or residues, reading them as numbers means nothing.
_ALGEBRA = re.compile(
    r"\b(?:rings?\b|characteristic|commutative|integral domain|dihedral|cross product|[Cc]artesian product"
    r"|permutations? \$|(?:a|the|any|finite|cyclic|symmetric|alternating|matrix) groups?\b"
    r"|group (?:operation|action|theory|of)|group \$|monoid|semigroup|subgroup|coset|quotient group|quotient ring"
    r"|homomorphism|isomorphi|modules?\b|ideals?\b|idempotent|noncommut|non-commut|conjugacy|abelian|[Ll]ie algebra"
    r"|[Ll]ie group|finite field|residue|modulo\b|tensor|functor|lattices?\b|It[oô]\b|Boolean|[Gg]rassmann"
    r"|associative algebra|bilinear|cohomolog)"
    r"|\\mathbb\s*\{?\s*[ZF]\s*\}?\s*_|\\pmod|\\bmod"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolicComputation:
    """One computation of a passage.

    Attributes:
        conditions: the sentences around it, at most 600 characters.
        expression: LaTeX of the side to be worked out, as the passage writes it.
        result: LaTeX of the stated result, as the passage writes it.
        code: the program.
        expression_span: start and end of the expression in the passage, in characters.
        result_span: start and end of the result.
    """

    conditions: str
    expression: str
    result: str
    code: str
    expression_span: tuple[int, int]
    result_span: tuple[int, int]


class SymbolicTranslator:
    """A Generator that answers with the computations of the last user message."""

    name = NAME

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """One completion for each request, in order; its text is empty of computations where none are found."""
        for request in requests:
            passage = next((turn.content for turn in reversed(request.messages) if turn.role == "user"), "")
            yield Completion(key=request.key, text=write_completion(translate_passage(passage)), finish_reason="stop")


def write_completion(computations: Sequence[SymbolicComputation]) -> str:
    """Computations in the form that language models are asked to write."""
    if not computations:
        return NO_COMPUTATIONS
    return "\n\n".join(
        titled_answer(
            number=number,
            conditions=computation.conditions,
            expression=computation.expression,
            result=computation.result,
            code=computation.code,
            language=PYTHON,
        )
        for number, computation in enumerate(computations, start=1)
    )


def translate_passage(text: str) -> list[SymbolicComputation]:
    """The computations that a passage states, in order of their expressions, each once."""
    if "=" not in text and "≈" not in text and "\\approx" not in text:
        return []
    spans = list(find_math(text))
    functions = frozenset(
        match.group(1) for span in spans for match in _CALL.finditer(text, span.inner_start, span.inner_end)
    )
    letters = frozenset() if _EXPONENTIAL.search(text) else frozenset("e")
    has_residues = _RESIDUES.search(text) is not None
    is_about_algebra = _ALGEBRA.search(text) is not None
    found: dict[tuple[str, str], SymbolicComputation] = {}
    for span in spans:
        for equation in find_equations(text, span):
            for left, right in _pairs(text, equation, functions, letters):
                if _has_ambiguous_log(left, right):
                    continue
                if free_symbols(left.root) and not _is_general(text, span, left, right):
                    continue
                if is_about_algebra and is_algebraic(left.root, right.root):
                    continue
                if _CYCLES.fullmatch(left.operand.source) or (
                    has_residues and _LEGENDRE.fullmatch(left.operand.source)
                ):
                    continue
                computation = _computation(text, span, left, right)
                found.setdefault((computation.expression, computation.result), computation)
    return list(found.values())


def _is_general(text: str, span: MathSpan, left: _Side, right: _Side) -> bool:
    """Whether letters stand for numbers, and no words around say that the equation holds for some values only."""
    if _NO_NUMBER.search(left.operand.source) or _NO_NUMBER.search(right.operand.source):
        return False
    return has_calculus(left.root) or not (
        _CUES.search(text, max(0, span.start - 120), span.start) is not None
        or _ANSWER.match(text, span.end) is not None
    )


class _Side(NamedTuple):
    operand: Operand
    formula: Formula

    @property
    def root(self) -> Node:
        return self.formula.root


def _pairs(
    text: str, equation: Equation, functions: frozenset[str], letters: frozenset[str]
) -> Iterator[tuple[_Side, _Side]]:
    """Expression and result: of each run of equal sides the first and the last, and neighbours."""
    start, end = equation.operands[0].start, equation.operands[-1].end
    letters |= unknown_letters(text[start:end]) if end - start <= 4 * MAX_OPERAND_CHARS else frozenset()
    run: list[_Side] = []
    for operand, relation in zip(equation.operands, (*equation.relations, ""), strict=True):
        formula = _parsed(operand, functions, letters)
        if formula is not None:
            run.append(_Side(operand, formula))
        if formula is None or relation not in ("=", "approx"):
            yield from _run_pairs(run)
            run = []


def _parsed(operand: Operand, functions: frozenset[str], letters: frozenset[str]) -> Formula | None:
    if not operand.source or len(operand.source) > MAX_OPERAND_CHARS:
        return None
    try:
        return parse(operand.source, functions=functions, letters=letters)
    except LatexSyntaxError:
        return None


def _run_pairs(run: list[_Side]) -> Iterator[tuple[_Side, _Side]]:
    # `x = 3 + 4 = 7`: a bare unknown in front names the value.
    while run and not isinstance(run[0].root, Number) and is_literal(run[0].root):
        run = run[1:]
    candidates = list(pairwise(run))
    if len(run) > 2:
        candidates.insert(0, (run[0], run[-1]))
    for number, (left, right) in enumerate(candidates):
        if has_calculus(right.root) and len(candidates) > 1 and number:
            # A step on the way, not a result.
            continue
        if left.operand.source.startswith("+"):
            # The rest of a sum that began on another line.
            continue
        if _is_literal_number(left.root) and not free_symbols(right.root):
            left, right = right, left
        if _have_same_units(left, right) and is_computation(left.root, right.root):
            yield left, right


def _is_literal_number(node: Node) -> bool:
    return is_literal(node) and not free_symbols(node)


def _have_same_units(left: _Side, right: _Side) -> bool:
    """Whether units let the sides be compared as numbers: none on the left, or the same on both."""
    before, after = (set(side.formula.units) - {"", "%"} for side in (left, right))
    if "degree" in before | after:
        return before == after
    return not before or before == after


def _has_ambiguous_log(left: _Side, right: _Side) -> bool:
    """Whether a logarithm without base is taken of a number: its value depends on a base that is not given."""
    return any(
        isinstance(node, Call)
        and node.name == "log"
        and len(node.arguments) == 1
        and not free_symbols(node)
        and node.arguments[0] != Number("1")
        and not any(part == Constant("E") for part in walk(node))
        for side in (left, right)
        if side.formula.has_plain_log
        for node in walk(side.root)
    )


def _computation(text: str, span: MathSpan, left: _Side, right: _Side) -> SymbolicComputation:
    expression, result = left.operand, right.operand
    return SymbolicComputation(
        conditions=_conditions(text, span),
        expression=_one_paragraph(text[expression.start : expression.end]),
        result=_one_paragraph(text[result.start : result.end]),
        code=write_program(left.root, right.root),
        expression_span=(expression.start, expression.end),
        result_span=(result.start, result.end),
    )


def _one_paragraph(latex: str) -> str:
    return re.sub(r"\n\s*\n", "\n", latex)


def _conditions(text: str, span: MathSpan) -> str:
    """The sentence around a formula, with the one before it where there is room, on one line."""
    first = max(0, span.start - MAX_CONDITION_CHARS // 2)
    last = min(len(text), span.end + MAX_CONDITION_CHARS // 4)
    starts = [match.end() for match in _SENTENCE_END.finditer(text, first, span.start)]
    start = starts[-2] if len(starts) > 1 else starts[-1] if starts else first
    if not starts and first:
        start = _word_border(text, first, span.start)
    end_match = _SENTENCE_END.search(text, span.end, last)
    end = end_match.end() if end_match else span.end if last < len(text) else last
    words = " ".join(text[start:end].split())
    return words if len(words) <= 2 * MAX_CONDITION_CHARS else words[: 2 * MAX_CONDITION_CHARS].rsplit(" ", 1)[0]


def _word_border(text: str, start: int, end: int) -> int:
    border = re.compile(r"\s").search(text, start, end)
    return border.end() if border else start

"""LaTeX and plain-text mathematics -> a tree; everything not understood with certainty is an error.

A Pratt parser over the tokens of one formula, with these precedences from loose to tight: relations; unions and
intersections; sums; products (explicit and implicit alike, from left to right); signs; powers, factorials and
other suffixes. The readings that need a rule:

- ``2\\frac{1}{2}`` (an integer directly before a proper fraction of two integers) is the mixed number 5/2.
- After a slash nothing may follow without a sign: ``1/2x`` is an error. Only ``1/2(x+1)`` (two integers, then a
  parenthesis) is taken, as half of it.
- A letter before a parenthesis is a factor, unless it is called a function by the caller, is one of f, g, h, F,
  G, H, or the parenthesis holds a lone letter, a lone number or a list: then it is an error (an undefined function).
- ``\\sin 2x \\cos y``: without a parenthesis the argument runs over coefficients, then letters, and ends at the next
  function, sign or parenthesis; ``\\sin(x)^2`` and ``\\ln x/2`` are errors, because both readings are in use.
- ``\\log`` without a base is the natural one (as in SymPy); Formula.has_plain_log tells that it occurs.
- e is Euler's number where it is the base of a power, or where none of a, b, c, d, f, g, h stands beside it.
- i is the imaginary unit, unless it stands in a subscript, before ``!``, alone beside a relation, or beside j or k.
- The body of a sum, product or limit is the product that follows it, up to the next plus or minus; if its
  index occurs again behind that sign, the formula is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from mathcode_assets.latex import calculus, delimited
from mathcode_assets.latex.functions import function_call
from mathcode_assets.latex.nodes import (
    Add,
    Call,
    Chain,
    Constant,
    LatexSyntaxError,
    Multiply,
    Negate,
    Node,
    Number,
    Power,
    Sequence,
    Symbol,
    Text,
    free_symbols,
    walk,
)
from mathcode_assets.latex.tokens import (
    BEGIN,
    COMMAND,
    END,
    EOF,
    FUNCTION,
    NUMBER,
    PUNCTUATION,
    SYMBOL,
    TEXT,
    Token,
    tokenize,
)
from mathcode_assets.latex.vocabulary import (
    ACCENTS,
    BINOMIALS,
    CONSTANTS,
    FRACTIONS,
    HYPERBOLIC,
    LIST_FUNCTIONS,
    NUMBER_SETS,
    PARENTHESISED_ONLY,
    RELATIONS,
    TEXT_ANSWERS,
    TRIGONOMETRIC,
    python_name,
)

# Groups, fractions and the like inside one another. Each level takes some eight Python frames of the 1,000.
MAX_DEPTH = 40

_CLOSERS = frozenset((")", "]", "}", ",", ";", "&", "\\\\", "rvert", "rfloor", "rceil", "|"))
_PRODUCT_SIGNS = frozenset(("*", "cdot", "times", "ast", "bullet"))
_QUOTIENT_SIGNS = frozenset(("/", "div"))
_SET_SIGNS = {"cup": "Union", "cap": "Intersection", "setminus": "Complement", "bigcup": "", "bigcap": ""}
_NAMED_FUNCTIONS = frozenset("fghFGH")
_BESIDE_E = frozenset("abcdfgh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A formula that was understood to its last character.

    Attributes:
        root: the tree.
        symbols: name in Python and how the source writes it, in order of appearance.
        units: of each operand of a chain (one for anything else), empty where there is none: ``cm``, ``degree``, ``$``.
        has_plain_log: whether ``\\log`` occurs without a base.
    """

    root: Node
    symbols: tuple[tuple[str, str], ...]
    units: tuple[str, ...]
    has_plain_log: bool


def parse(source: str, *, functions: Iterable[str] = (), letters: Iterable[str] = ()) -> Formula:
    """The formula in a text that holds nothing else; delimiters such as ``$`` may surround it.

    Args:
        source: LaTeX or plain text, at most 20,000 characters.
        functions: letters that are functions here, so that ``p(x+1)`` is no product.
        letters: letters that are unknowns whatever the rules for e and i say.

    Raises:
        LatexSyntaxError: any part is not understood.
    """
    start, end = delimited.strip_delimiters(source)
    words = delimited.text_answer(source[start:end])
    if words is not None:
        return Formula(root=Text(words), symbols=(), units=("",), has_plain_log=False)
    tokens = _shifted(tokenize(source[start:end]), start)
    return Parser(source, tokens, frozenset(functions), frozenset(letters)).formula()


def _shifted(tokens: list[Token], offset: int) -> list[Token]:
    if not offset:
        return tokens
    return [token._replace(start=token.start + offset, end=token.end + offset) for token in tokens]


class Parser:
    """The tokens of one formula and how far they are read."""

    def __init__(self, source: str, tokens: list[Token], functions: frozenset[str], letters: frozenset[str]) -> None:
        self.source = source
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.open_bars = 0
        self.angles = 0
        """How many trigonometric functions stand around the current place: degrees are converted there."""
        self.symbols: dict[str, str] = {}
        self.fonts: dict[str, str] = {}
        self.unit = ""
        self.has_pi = False
        self.has_plain_log = False
        self.functions = functions | _NAMED_FUNCTIONS - letters
        self.is_euler, self.is_imaginary = _special_letters(tokens, letters)

    # --- the whole formula ---

    def formula(self) -> Formula:
        """Everything there is, up to the last token."""
        while len(self.tokens) > 1 and self.tokens[-2].text in (".", ",", ";"):
            del self.tokens[-2]
        signs = {token.text for token in self.tokens if token.kind == COMMAND} & {"pm", "mp"}
        if not signs:
            root, units = self._statements()
        else:
            plus_minus = self.tokens
            self.tokens = _with_signs(plus_minus, "+", "-")
            upper, units = self._statements()
            self.tokens, self.position = _with_signs(plus_minus, "-", "+"), 0
            lower, _ = self._statements()
            is_value = not any(isinstance(node, Chain | Sequence | Text) for node in (upper, lower))
            root = Call("FiniteSet", (upper, lower)) if is_value else Sequence((upper, lower))
        bound = {node.arguments[1] for node in walk(root) if _binds(node)}
        names = {node.items[0] if isinstance(node, Sequence) else node for node in bound}
        outside = free_symbols(root) & {node.name for node in names if isinstance(node, Symbol)}
        if outside:
            raise LatexSyntaxError(len(self.source), "the index of a sum, product or limit occurs outside it")
        return Formula(
            root=root,
            symbols=tuple(self.symbols.items()),
            units=tuple(units),
            has_plain_log=self.has_plain_log,
        )

    def _statements(self) -> tuple[Node, list[str]]:
        items: list[Node] = []
        units: list[str] = []
        while True:
            item, item_units = self.statement()
            items.append(item)
            units.extend(item_units)
            if self.peek().text in (",", ";") or (self.peek().kind == TEXT and self.peek().text in ("and", "or")):
                self.advance()
                if self.peek().kind == TEXT and self.peek().text in ("and", "or"):
                    self.advance()
                continue
            break
        if self.peek().kind != EOF:
            raise self.error("something that does not belong here")
        return (items[0] if len(items) == 1 else Sequence(tuple(items))), units

    def statement(self) -> tuple[Node, list[str]]:
        """A value, or values with relations between them, and the unit of each."""
        operands, relations, units, spans = [], [], [], []
        while True:
            first = self.peek().start
            self.unit, self.has_pi = "", False
            operands.append(self.sets())
            self._read_unit(operands[-1])
            if self.unit == "degree" and self.has_pi:
                raise self.error("degrees beside pi")
            spans.append((first, self.tokens[self.position - 1].end))
            units.append(self.unit)
            relation = RELATIONS.get(self.peek().text) if self.peek().kind in (COMMAND, PUNCTUATION) else None
            if relation is None:
                break
            self.advance()
            if relation == "equiv":
                return self._congruence(operands, spans), ["", ""]
            relations.append(relation)
        if not relations:
            return operands[0], units
        if any(isinstance(operand, Chain) for operand in operands):
            raise self.error("a relation inside a relation")
        return Chain(tuple(operands), tuple(relations), tuple(spans)), units

    def _congruence(self, operands: list[Node], spans: list[tuple[int, int]]) -> Node:
        """``a \\equiv b \\pmod{n}``, the sign just read."""
        if len(operands) != 1:
            raise self.error("a congruence in a chain")
        right = self.sets()
        end = self.tokens[self.position - 1].end
        if self.peek().text == "pmod":
            self.advance()
            modulus = self.argument()
        elif self.peek().text == "(" and self.peek(1).text in ("mod", "bmod"):
            self.advance()
            self.advance()
            modulus = self.sets()
            self.expect(")")
        else:
            raise self.error("an equivalence without modulus")
        difference = Add((operands[0], Negate(right)))
        return Chain((Call("Mod", (difference, modulus)), Number("0")), ("=",), (*spans, (spans[0][0], end)))

    def _read_unit(self, value: Node) -> None:
        """A unit behind a value: ``5\\text{ cm}``, ``3\\,\\mathrm{m}/\\mathrm{s}^2``."""
        words: list[str] = []
        while self.peek().kind == TEXT and self.peek().text not in ("and", "or"):
            token = self.advance()
            words.append(token.text)
            if self.peek().text == "^" and not self.peek().font:
                self.advance()
                words.append(f"^{self._unit_exponent()}")
            if self.peek().text == "/" and self.peek(1).kind == TEXT:
                self.advance()
                words.append("/")
        if not words:
            return
        unit = "".join(words)
        if free_symbols(value) or self.unit or not delimited.is_unit(unit):
            raise self.error("words behind a value")
        self.unit = unit

    def _unit_exponent(self) -> str:
        braced = self.accept("{")
        sign = "-" if self.accept("-") else ""
        token = self.advance()
        if token.kind != NUMBER:
            raise self.error("an exponent of a unit")
        if braced:
            self.expect("}")
        return sign + token.text

    # --- operators, from loose to tight ---

    def sets(self) -> Node:
        """Sums joined by set operations (intersections do not bind tighter: a mixture needs parentheses)."""
        node = self.additive()
        used = ""
        while self.peek().kind == COMMAND and self.peek().text in _SET_SIGNS:
            name = _SET_SIGNS[self.advance().text]
            if not name or (used and used != name) or (used == "Complement"):
                raise self.error("set operations without parentheses")
            used = name
            node = Call(name, (node, self.additive()))
        return node

    def additive(self) -> Node:
        """Terms with plus and minus between them."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("nested too deeply")
        terms = [self.product()]
        while self.peek().text in ("+", "-") and self.peek().kind == PUNCTUATION:
            sign = self.advance().text
            term = self.product()
            terms.append(Negate(term) if sign == "-" else term)
        self.depth -= 1
        if len(terms) == 1:
            return terms[0]
        for term in terms:
            self.require_value(term)
        return Add(tuple(terms))

    def product(self, *, is_implicit: bool = False) -> Node:
        """Factors with or without a sign between them; with is_implicit only those without."""
        negative = self._signs()
        factors: list[tuple[Node, bool]] = [(self.suffixed(), False)]
        while True:
            token = self.peek()
            if token.kind in (PUNCTUATION, COMMAND) and token.text in _PRODUCT_SIGNS | _QUOTIENT_SIGNS:
                if is_implicit:
                    break
                self.advance()
                divides = token.text in _QUOTIENT_SIGNS
                factor = Negate(self.suffixed()) if self._signs() else self.suffixed()
                factors.append((factor, divides))
            elif token.kind in (PUNCTUATION, COMMAND) and token.text in ("bmod", "mod"):
                self.advance()
                value = _multiplied(factors)
                factors = [(Call("Mod", (value, self.suffixed())), False)]
            elif self.starts_factor(token):
                self._check_after_slash(factors, token)
                factors.append((self.suffixed(), False))
            else:
                break
        node = _multiplied(factors)
        if len(factors) > 1 or negative:
            for factor, _ in factors:
                self.require_value(factor)
        return Negate(node) if negative else node

    def _signs(self) -> bool:
        """Reads signs; whether their product is negative."""
        negative = False
        for _ in range(3):
            if self.peek().kind != PUNCTUATION or self.peek().text not in ("+", "-"):
                break
            negative ^= self.advance().text == "-"
        return negative

    def _check_after_slash(self, factors: list[tuple[Node, bool]], token: Token) -> None:
        """Refuses what follows ``a/b`` without a sign, except a parenthesis after two integers."""
        if not factors[-1][1] or self._before(factors):
            return
        is_half = len(factors) == 2 and all(isinstance(factor, Number) and factor.is_integer for factor, _ in factors)
        if not (is_half and token.text == "("):
            raise self.error("a factor behind a slash")

    def _before(self, factors: list[tuple[Node, bool]]) -> bool:
        """Whether the last division was written with a sign other than a slash."""
        return False

    def suffixed(self) -> Node:
        """A value with its powers, factorials, percent and degree signs."""
        first = self.position
        node = self.primary()
        has_power = False
        while True:
            token = self.peek()
            if token.text == "^" and token.kind == PUNCTUATION:
                if self._is_degree():
                    node = self._degrees(node)
                    continue
                if has_power:
                    raise self.error("a power of a power without braces")
                self.advance()
                node, has_power = self._power(node), True
            elif token.text == "!" and token.kind == PUNCTUATION:
                if has_power or self.peek(1).text == "!":
                    raise self.error("a factorial of unclear extent")
                self.advance()
                node = Call("factorial", (self.require_value(node),))
            elif token.text == "%" and token.kind == PUNCTUATION:
                self.advance()
                node = Multiply(((self.require_value(node), False), (Number("100"), True)))
                self.unit = "%"
            elif token.text == "degree":
                node = self._degrees(node)
            elif token.text == "_" and self.tokens[self.position - 1].text in ("]", "rvert", ")") and first:
                raise self.error("bounds behind a bracket")
            else:
                return node

    def _power(self, base: Node) -> Node:
        token = self.peek()
        if token.text in ("top", "intercal") or (token.text == "T" and isinstance(base, Call) and base.name == "Matrix"):
            self.advance()
            return Call("transpose", (base,))
        if token.text == "{" and self.peek(1).text in ("T", "top") and self.peek(2).text == "}":
            is_matrix = isinstance(base, Call) and base.name in ("Matrix", "transpose")
            if is_matrix or self.peek(1).text == "top":
                self.position += 3
                return Call("transpose", (base,))
        self.require_value(base)
        negative = self.accept("-")
        exponent = self.argument(is_exponent=True)
        self.require_value(exponent)
        return Power(base, Negate(exponent) if negative else exponent)

    def _is_degree(self) -> bool:
        after = self.peek(1)
        return after.text in ("circ", "degree") or (
            after.text == "{" and self.peek(2).text in ("circ", "degree") and self.peek(3).text == "}"
        )

    def _degrees(self, node: Node) -> Node:
        if self.peek().text == "^":
            self.advance()
        if self.accept("{"):
            self.advance()
            self.expect("}")
        else:
            self.advance()
        if self.peek().kind == SYMBOL and self.peek().text in ("C", "F", "K"):
            raise self.error("a temperature")
        if self.angles:
            return Multiply(((node, False), (Constant("pi"), False), (Number("180"), True)))
        self.unit = "degree"
        return node

    # --- single values ---

    def primary(self) -> Node:
        """One value: a number, a letter, a function with its argument, anything in delimiters."""
        token = self.peek()
        if token.kind == NUMBER:
            return delimited.number(self)
        if token.kind == SYMBOL:
            return delimited.symbol(self)
        if token.kind == FUNCTION:
            return function_call(self)
        if token.kind == BEGIN:
            return delimited.environment(self)
        if token.kind == PUNCTUATION:
            if token.text in ("(", "["):
                return delimited.parenthesis(self)
            if token.text == "{":
                return self.argument()
            if token.text == "|":
                return delimited.absolute(self)
            if token.text == "$" and self.peek(1).kind == NUMBER and not self.unit:
                self.advance()
                value = delimited.number(self)
                self.unit = "$"
                return value
        if token.kind == COMMAND:
            return self._command(token)
        raise self.error("a value is missing")

    def _command(self, token: Token) -> Node:
        name = token.text
        if name in CONSTANTS:
            self.advance()
            self.has_pi |= name == "pi" and not self.angles
            return Constant(CONSTANTS[name])
        if name in NUMBER_SETS.values():
            self.advance()
            return Constant(name)
        if name in FRACTIONS:
            return calculus.fraction(self)
        if name in BINOMIALS:
            self.advance()
            return Call("binomial", (self.argument(is_digit=True), self.argument(is_digit=True)))
        if name == "sqrt":
            return self._square_root()
        if name in ACCENTS:
            return delimited.symbol(self)
        if name in ("boxed", "fbox"):
            self.advance()
            return self.argument()
        if name in delimited.PAIRS:
            return delimited.pair(self)
        if name == "{":
            return delimited.finite_set(self)
        if name in calculus.READERS:
            return calculus.READERS[name](self)
        raise self.error("a command that is not known")

    def _square_root(self) -> Node:
        self.advance()
        index: Node | None = None
        if self.accept("["):
            index = self.additive()
            self.expect("]")
        token = self.peek()
        if token.kind == NUMBER and len(token.text) > 1 and self.source[token.start - 1] != "√":
            raise self.error("a root of several digits without braces")
        radicand = self.require_value(self.argument())
        if index is None:
            return Call("sqrt", (radicand,))
        if isinstance(radicand, Negate) and isinstance(index, Number) and index.is_integer and int(index.text) % 2:
            # The real root that schoolbooks mean; SymPy's root(-8, 3) is the complex one.
            return Negate(Call("root", (radicand.operand, index)))
        return Call("root", (radicand, index))

    def argument(self, *, is_exponent: bool = False, is_digit: bool = False) -> Node:
        """What a command or an exponent takes: a group in braces, or one token.

        Args:
            is_exponent: several digits are one number (``x^10`` is meant so by whoever writes it).
            is_digit: of several digits only the first is taken, as TeX does (``\\frac12``).
        """
        if self.accept("{"):
            self.depth += 1
            node = self.sets()
            if self.peek().text in ("choose", "over"):
                name = self.advance().text
                below = self.sets()
                node = (
                    Call("binomial", (node, below)) if name == "choose" else Multiply(((node, False), (below, True)))
                )
            if self.peek().text == ",":
                items = [node]
                while self.accept(","):
                    items.append(self.sets())
                node = Sequence(tuple(items))
            self.expect("}")
            self.depth -= 1
            return node
        token = self.peek()
        if token.kind == NUMBER and is_digit and len(token.text) > 1:
            if not token.text.isdigit():
                raise self.error("a number without braces")
            head = token._replace(text=token.text[0], end=token.start + 1)
            rest = token._replace(text=token.text[1:], start=token.start + 1)
            self.tokens = [*self.tokens[: self.position], head, rest, *self.tokens[self.position + 1 :]]
            token = head
        if token.kind == NUMBER and (is_exponent or is_digit or token.text):
            self.advance()
            return _literal(token)
        if token.kind == SYMBOL:
            self.advance()
            return self.letter(token)
        if token.kind == COMMAND or (token.kind == PUNCTUATION and token.text == "("):
            return self.primary()
        raise self.error("an argument is missing")

    def letter(self, token: Token, name: str | None = None) -> Node:
        """The value of a letter: an unknown, Euler's number or the imaginary unit."""
        if name is None and token.text == "e" and self.is_euler(token):
            return Constant("E")
        if name is None and token.text == "i" and self.is_imaginary:
            return Constant("I")
        plain = python_name(name or token.text)
        if token.font and self.fonts.setdefault(plain, token.font) != token.font:
            plain = f"{plain}_{token.font}"
        elif not token.font and self.fonts.setdefault(plain, "") != "":
            plain = f"{plain}_plain"
        self.symbols.setdefault(plain, self.source[token.start : token.end])
        return Symbol(plain)

    # --- helpers ---

    def starts_factor(self, token: Token) -> bool:
        """Whether a token can begin a factor that has no sign before it."""
        if token.kind in (SYMBOL, FUNCTION):
            return True
        if token.kind == NUMBER:
            return self.tokens[self.position - 1].text in (")", "]")
        if token.kind == BEGIN:
            return token.text not in ("cases",)
        if token.kind == PUNCTUATION:
            return token.text in ("(", "[", "{") or (token.text == "|" and not self.open_bars)
        if token.kind == COMMAND:
            known = (*CONSTANTS, *FRACTIONS, *BINOMIALS, *ACCENTS, *delimited.PAIRS, *calculus.READERS, "sqrt", "boxed")
            return token.text in known
        return False

    def sub_expression(self, tokens: list[Token]) -> Node:
        """The value of other tokens, all of them."""
        outer, position = self.tokens, self.position
        end = tokens[-1].end if tokens else self.peek().start
        self.tokens, self.position = [*tokens, Token(EOF, "", end, end)], 0
        node = self.additive()
        if self.peek().kind != EOF:
            raise self.error("something that does not belong here")
        self.tokens, self.position = outer, position
        return node

    def literal(self, token: Token) -> Node:
        """The value of a number token."""
        return _literal(token)

    def refuse_indexed(self, index: Symbol, body: Node) -> None:
        """Fails if a name in a body has the index in its subscript: ``a_k`` in a sum over k."""
        for name in free_symbols(body):
            if index.name in name.split("_")[1:]:
                raise self.error("an indexed family")

    def require_value(self, node: Node) -> Node:
        """The node, if it can be part of a calculation."""
        if isinstance(node, Sequence | Chain | Text):
            raise self.error("a list or relation inside a calculation")
        return node

    def peek(self, ahead: int = 0) -> Token:
        """The next token, or one behind it."""
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """The next token, now read."""
        token = self.peek()
        self.position += 1
        return token

    def accept(self, text: str) -> bool:
        """Reads the next token if it is this sign."""
        if self.peek().text == text and self.peek().kind == PUNCTUATION:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Reads this sign, or fails."""
        if not self.accept(text):
            raise self.error(f"no {text} where one is needed")

    def error(self, reason: str) -> LatexSyntaxError:
        """An error at the next token."""
        return LatexSyntaxError(self.peek().start, reason)


def _multiplied(factors: list[tuple[Node, bool]]) -> Node:
    return factors[0][0] if len(factors) == 1 else Multiply(tuple(factors))


def _literal(token: Token) -> Node:
    if token.font == "vulgar":
        numerator, denominator = token.text.split("/")
        return Call("Rational", (Number(numerator), Number(denominator)))
    return Number(token.text)


def _binds(node: Node) -> bool:
    return isinstance(node, Call) and node.name in ("Sum", "Product", "Limit")


def _with_signs(tokens: list[Token], plus_minus: str, minus_plus: str) -> list[Token]:
    signs = {"pm": plus_minus, "mp": minus_plus}
    return [
        token._replace(kind=PUNCTUATION, text=signs[token.text])
        if token.kind == COMMAND and token.text in signs
        else token
        for token in tokens
    ]


def _special_letters(tokens: list[Token], letters: frozenset[str]) -> tuple[Callable[[Token], bool], bool]:
    """Whether an e is Euler's number, for each, and whether i is the imaginary unit."""
    names = {token.text for token in tokens if token.kind == SYMBOL}
    is_euler_beside = "e" not in letters and not names & _BESIDE_E
    powers = {
        token.start
        for token, after in pairwise(tokens)
        if token.kind == SYMBOL and token.text == "e" and not token.font and after.text == "^"
    }
    is_euler_anywhere = is_euler_beside or ("e" not in letters and bool(powers))
    return (lambda _: is_euler_anywhere), "i" not in letters and not _is_index(tokens, names)


def _is_index(tokens: list[Token], names: set[str]) -> bool:
    """Whether i counts something: in a subscript, before ``!``, alone beside a relation, beside j or k."""
    if names & {"j", "k"}:
        return True
    for position, token in enumerate(tokens):
        if token.text != "i" or token.kind != SYMBOL:
            continue
        before = [other.text for other in tokens[max(0, position - 2) : position]]
        after = tokens[position + 1].text
        if after == "!" or "_" in before or before[-1:] == ["d"] or before[-2:] == ["}", "{"]:
            return True
        if (after in RELATIONS and before[-1:] in ([], ["{"], [","])) or (
            before and before[-1] in RELATIONS and after in ("", ",", ".")
        ):
            return True
    return False

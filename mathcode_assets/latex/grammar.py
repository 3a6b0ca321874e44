"""The operators and values of a formula, from loose to tight; the readings are described in parser.py."""

from __future__ import annotations

from mathcode_assets.latex import calculus, delimited
from mathcode_assets.latex.cursor import Cursor
from mathcode_assets.latex.functions import function_call
from mathcode_assets.latex.letters import is_euler, is_imaginary, is_lone_argument, letter, named_letter
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
    free_symbols,
)
from mathcode_assets.latex.refusals import (
    check_after_decimal,
    check_after_slash,
    refuse_brackets,
    refuse_marks,
    refuse_vectors,
)
from mathcode_assets.latex.tokens import BEGIN, COMMAND, EOF, FUNCTION, NUMBER, PUNCTUATION, SYMBOL, Token
from mathcode_assets.latex.vocabulary import ACCENTS, BINOMIALS, CONSTANTS, FRACTIONS, NUMBER_SETS

# Groups, fractions and the like inside one another. Each level takes some eight Python frames of the 1,000.
MAX_DEPTH = 40

_PRODUCT_SIGNS = frozenset(("*", "cdot", "times", "ast", "bullet"))
_QUOTIENT_SIGNS = frozenset(("/", "div"))
_SET_SIGNS = {"cup": "Union", "cap": "Intersection", "setminus": "Complement"}
_NAMED_FUNCTIONS = frozenset((*"fghFGHEO", "phi", "varphi", "psi", "Phi", "Psi", "Delta"))
_FACTORS = frozenset(
    (*CONSTANTS, *FRACTIONS, *BINOMIALS, *ACCENTS, *delimited.PAIRS, *calculus.READERS, "sqrt", "boxed")
)


class Parser(Cursor):
    """The tokens of one formula, how far they are read, and what they have shown so far."""

    def __init__(self, source: str, tokens: list[Token], *, functions: frozenset[str], letters: frozenset[str]) -> None:
        super().__init__(source, tokens)
        self.depth = 0
        self.open_bars = 0
        self.angles = 0
        """How many trigonometric functions stand around the current place: degrees are converted there."""
        self.symbols: dict[str, str] = {}
        self.vectors: set[str] = set()
        """Names of letters in bold or with an arrow."""
        self.unit = ""
        self.has_pi = False
        self.has_plain_log = False
        self.functions = functions | (_NAMED_FUNCTIONS - letters)
        self.upright = {token.text for token in tokens if token.kind == SYMBOL and not token.font}
        """Letters that occur without a font; the same letter in a font is another unknown then."""
        self.has_euler = "e" not in letters and is_euler(tokens)
        self.has_imaginary = "i" not in letters and is_imaginary(tokens)

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
        terms = [self.product()]
        while self.peek().text in ("+", "-") and self.peek().kind == PUNCTUATION:
            sign = self.advance().text
            term = self.product()
            terms.append(Negate(term) if sign == "-" else term)
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
                refuse_vectors(self, token, factors[-1][0])
                factor = Negate(self.suffixed()) if self._signs() else self.suffixed()
                factors.append((factor, divides))
            elif token.kind in (PUNCTUATION, COMMAND) and token.text in ("bmod", "mod"):
                self.advance()
                value = _multiplied(factors)
                factors = [(Call("Mod", (value, self.suffixed())), False)]
            elif self.starts_factor(token):
                check_after_slash(self, factors, token)
                check_after_decimal(self, token)
                refuse_brackets(self, token)
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
                is_function = self.tokens[first].text in self.functions and self.position > first + 1
                if is_function and self.peek().text == "(":
                    raise self.error("an undefined function")
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
        if token.text in ("top", "intercal") or (
            token.text == "T" and isinstance(base, Call) and base.name == "Matrix"
        ):
            self.advance()
            return Call("transpose", (base,))
        if token.text == "{" and self.peek(1).text in ("T", "top") and self.peek(2).text == "}":
            is_matrix = isinstance(base, Call) and base.name in ("Matrix", "transpose")
            if is_matrix or self.peek(1).text == "top":
                self.position += 3
                return Call("transpose", (base,))
        self.require_value(base)
        refuse_marks(self, base)
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
        self._descend()
        node = self._value()
        self.depth -= 1
        return node

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("nested too deeply")

    def _value(self) -> Node:
        token = self.peek()
        if token.kind == NUMBER:
            return delimited.number(self)
        if token.kind == SYMBOL:
            return named_letter(self)
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
            if self.peek().text == "(" and is_lone_argument(self):
                raise self.error("an undefined function")
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
            return named_letter(self)
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
        r"""What a command or an exponent takes: a group in braces, or one token.

        Args:
            is_exponent: several digits are one number (``x^10`` is meant so by whoever writes it).
            is_digit: of several digits only the first is taken, as TeX does (``\frac12``).
        """
        if self.accept("{"):
            self._descend()
            node = self.sets()
            if self.peek().text in ("choose", "over"):
                name = self.advance().text
                below = self.sets()
                node = Call("binomial", (node, below)) if name == "choose" else Multiply(((node, False), (below, True)))
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
            return letter(self, token)
        if token.kind == COMMAND or (token.kind == PUNCTUATION and token.text == "("):
            return self.primary()
        raise self.error("an argument is missing")

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
            return token.text in _FACTORS
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
            marks = name.split("_")[1:]
            if index.name in marks or any(len(mark) <= 3 and index.name in mark for mark in marks):
                raise self.error("an indexed family")

    def require_value(self, node: Node) -> Node:
        """The node, if it can be part of a calculation."""
        if isinstance(node, Sequence | Chain | Text):
            raise self.error("a list or relation inside a calculation")
        return node


def _multiplied(factors: list[tuple[Node, bool]]) -> Node:
    return factors[0][0] if len(factors) == 1 else Multiply(tuple(factors))


def _literal(token: Token) -> Node:
    if token.font == "vulgar":
        numerator, denominator = token.text.split("/")
        return Call("Rational", (Number(numerator), Number(denominator)))
    return Number(token.text)

"""Programs in an answer: cleaned of what mark-up added to them, and judged without being run.

Python only is parsed; of an Octave program nothing is known here. Nothing in this module runs code.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import textwrap
import warnings

from mathcode_assets.mathematical_code.prompts import OCTAVE, PYTHON

# A longer program is not parsed: it comes from a repetition loop, and the sandbox has its own limit.
_LONGEST_PARSED = 200_000

_NAMES_OF = {
    PYTHON: re.compile(r"(?:i?python|py)[\d.]*|sympy|pycon|python-repl|python_code"),
    OCTAVE: re.compile(r"octave|matlab|m"),
}
_NO_PROGRAM = frozenset(
    {"output", "text", "txt", "plaintext", "plain", "console", "stdout", "result", "results", "math", "latex", "tex"}
    | {"katex", "markdown", "md", "bash", "sh", "shell", "zsh", "cmd", "powershell", "json", "yaml", "csv", "html"}
)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d*\]:)(?: |$)")
_OCTAVE_STATEMENT = re.compile(r"\b(?:disp|display|f?printf)\b|^\s*\w+\s*=(?!=)", re.MULTILINE)
_SHOWS = frozenset({"print", "pprint", "display", "show"})
_FRACTIONS = frozenset({"Rational", "Fraction"})
_OF_A_LITERAL = frozenset(
    {"Rational", "Integer", "Float", "Fraction", "Decimal", "complex", "float", "int", "str", "round", "repr", "format"}
)


def is_program_in(language: str, wanted: str) -> bool | None:
    """What the word after a fence says: a program in the wanted language, no program in it, or nothing (None)."""
    if not language or language == "none":
        return None
    return _NAMES_OF[wanted].fullmatch(language) is not None


def is_no_program(language: str) -> bool:
    """Whether the word after a fence names text, output or a shell rather than a programming language."""
    return language in _NO_PROGRAM


def cleaned(code: str) -> str:
    """A program without common indentation, interactive prompts, and blank lines around it."""
    lines = code.split("\n")
    if any(re.match(r"[ \t]*>>>(?: |$)", line) for line in lines):
        lines = [_PROMPT.sub("", line, count=1) for line in lines if _PROMPT.match(line)]
    return textwrap.dedent("\n".join(lines)).strip("\n").rstrip()


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of a Python program; None where it is no program."""
    if len(code) > _LONGEST_PARSED or not code.strip():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\s" in a string is no concern of ours
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def looks_like_a_program(code: str) -> bool:
    """Whether text that nothing marks as code is Python that does something: prints, imports, binds a name."""
    tree = parsed(code)
    acts = ast.Import | ast.ImportFrom | ast.Assign | ast.For | ast.FunctionDef
    return tree is not None and (shows_something(code) or any(isinstance(node, acts) for node in tree.body))


def looks_like_octave(code: str) -> bool:
    """Whether text that nothing marks as code may be an Octave program: it prints, or binds a name."""
    return _OCTAVE_STATEMENT.search(code) is not None


def shows_something(code: str) -> bool:
    """Whether a Python program calls print or the like anywhere."""
    tree = parsed(code)
    return tree is not None and any(_is_show(node) for node in ast.walk(tree))


def continues(first: str, second: str) -> bool:
    """Whether two Python programs are clearly one in two blocks.

    The first one parses and prints nothing, the second one prints and uses a name that the first one binds and
    it does not bind itself.
    """
    one, two = parsed(first), parsed(second)
    if one is None or two is None or shows_something(first) or not shows_something(second):
        return False
    borrowed = _names(two, ast.Load) - _bound(two) - set(dir(builtins))
    return bool(borrowed & _bound(one))


def only_states_its_result(code: str) -> bool:
    """Whether a Python program prints nothing but literals, so that its output proves nothing.

    Syntactic: every print stands outside of branches and loops and shows literals, names bound once to a
    literal, a number type made of one (``Fraction(1, 3)``, ``round(70.94, 1)``) unless that takes a division
    (``Fraction(4800, 120)``), or what a function of the program returns whatever it is given. A program may hide
    its result in other ways; this finds the ways models take.
    """
    tree = parsed(code)
    if tree is None:
        return False
    shown = [node for node in ast.walk(tree) if _is_show(node)]
    straight = list(_straight_calls(tree.body))
    if not shown or len(straight) != len(shown):
        return False
    try:
        literals = _literal_names(tree)
        return all(_is_literal(argument, literals) for call in shown for argument in call.args)
    except RecursionError:  # a thousand signs or brackets around a number
        return False


def _is_show(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    return name in _SHOWS or name == "write"


def _straight_calls(body: list[ast.stmt]) -> list[ast.Call]:
    """Calls that show something and run whatever the data: at the top, in functions, under the main guard."""
    calls: list[ast.Call] = []
    for statement in body:
        if isinstance(statement, ast.Expr) and _is_show(statement.value):
            calls.append(statement.value)  # pyrefly: ignore[bad-argument-type]
        elif isinstance(statement, ast.FunctionDef | ast.With) or (
            isinstance(statement, ast.If) and "__name__" in _names(statement.test, ast.Load)
        ):
            calls += _straight_calls(statement.body)
    return calls


def _literal_names(tree: ast.Module) -> set[str]:
    """Names that are bound once, to a literal, at the top of the program."""
    stores = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    parameters = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    known: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name) and stores.count(target.id) == 1 and _is_literal(statement.value, known):
                known.add(target.id)
        elif isinstance(statement, ast.FunctionDef) and _returns_a_literal(statement):
            known.add(_called(statement.name))
    return known - parameters


def _called(name: str) -> str:
    """How a function that returns a literal is kept among the names of literals; no name of a variable."""
    return f"{name}()"


def _returns_a_literal(function: ast.FunctionDef) -> bool:
    """Whether a function does nothing but return a literal, after a docstring perhaps."""
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return False
    return body[0].value is not None and _is_literal(body[0].value, set())


def _is_literal(node: ast.expr, known: set[str]) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in known
        case ast.UnaryOp(operand=operand) | ast.FormattedValue(value=operand) | ast.Starred(value=operand):
            return _is_literal(operand, known)
        case ast.JoinedStr(values=values) | ast.Tuple(elts=values) | ast.List(elts=values) | ast.Set(elts=values):
            return all(_is_literal(value, known) for value in values)
        case ast.BinOp(left=ast.Constant(value=str()), right=right):  # "%.1f" % 70.9
            return _is_literal(right, known)
        case ast.Call(func=function, args=arguments, keywords=keywords):
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if isinstance(function, ast.Name) and _called(name) in known:
                return True
            values = [*arguments, *(keyword.value for keyword in keywords)]
            if name in _FRACTIONS and not keywords and _is_reduced(arguments) is False:
                return False  # Rational(4800, 120) works out 40
            return name in _OF_A_LITERAL and bool(values) and all(_is_literal(value, known) for value in values)
    return False


def _is_reduced(arguments: list[ast.expr]) -> bool | None:
    """Whether two integers are a fraction in its lowest terms; None where they are not two integers."""
    try:
        values = [ast.literal_eval(argument) for argument in arguments]
    except ValueError:
        return None
    if len(values) != 2 or not all(isinstance(value, int) for value in values):
        return None
    return math.gcd(*values) == 1 and values[1] > 1


def _names(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _bound(tree: ast.Module) -> set[str]:
    names = _names(tree, ast.Store)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names

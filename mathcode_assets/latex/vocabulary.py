"""The commands, characters and words that the parser knows, each with what it means."""

from __future__ import annotations

import keyword

# Function names as LaTeX or plain text writes them -> SymPy.
FUNCTIONS = {
    **{name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: name for name in ("sinh", "cosh", "tanh", "coth", "sech", "csch")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{f"{head}{name}": f"a{name}" for head in ("ar", "arc", "a") for name in ("sinh", "cosh", "tanh", "coth")},
    **{"cosec": "csc", "ctg": "cot", "cotg": "cot", "tg": "tan", "arctg": "atan", "atan": "atan", "asin": "asin"},
    **{"acos": "acos", "exp": "exp", "ln": "log", "log": "log", "lg": "lg", "sqrt": "sqrt", "abs": "Abs"},
    **{"det": "det", "gcd": "gcd", "lcm": "lcm", "max": "Max", "min": "Min", "sgn": "sign", "sign": "sign"},
    **{"Re": "re", "Im": "im", "arg": "arg", "erf": "erf", "tr": "trace", "floor": "floor", "ceil": "ceiling"},
}
TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
HYPERBOLIC = frozenset(("sinh", "cosh", "tanh", "coth", "sech", "csch"))
# These take a list in parentheses or braces.
LIST_FUNCTIONS = frozenset(("gcd", "lcm", "Max", "Min"))
# A plain parenthesis is needed after these: `\det A B` and `\arg z w` have no agreed extent.
PARENTHESISED_ONLY = frozenset((*LIST_FUNCTIONS, "det", "sign", "re", "im", "arg", "erf", "trace", "floor", "ceiling"))

GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "varkappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "rho",
    "varrho",
    "sigma",
    "varsigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Sigma",
    "Upsilon",
    "Phi",
    "Psi",
    "Omega",
    "ell",
    "hbar",
    "aleph",
]
GREEK_LETTERS = dict(
    zip(
        "αβγδεζηθικλμνξορςστυφχψωΓΔΘΛΞΣΥΦΨΩ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "omicron",
            "rho",
            "varsigma",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Sigma",
            "Upsilon",
            "Phi",
            "Psi",
            "Omega",
        ],
        strict=True,
    )
)
CONSTANTS = {"pi": "pi", "infty": "oo", "emptyset": "EmptySet", "varnothing": "EmptySet"}
NUMBER_SETS = {"R": "Reals", "Z": "Integers", "N": "Naturals", "Q": "Rationals", "C": "Complexes"}

RELATIONS = {
    **{"=": "=", "<": "<", ">": ">", "lt": "<", "gt": ">", "le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<="},
    **{"ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=", "ne": "!=", "neq": "!=", "approx": "approx"},
    **{"simeq": "approx", "thickapprox": "approx", "doteq": "approx", "in": "in", "equiv": "equiv", ":=": ":="},
    **{"coloneqq": ":=", "triangleq": ":=", "<=": "<=", ">=": ">=", "!=": "!=", "==": "="},
}
# What stands for one token of the alphabet above.
CHARACTERS = {
    **{"−": "-", "–": "-", "‐": "-", "‑": "-", "×": "times", "⋅": "cdot", "·": "cdot", "∙": "cdot", "•": "cdot"},
    **{"÷": "div", "∗": "*", "⁄": "/", "∕": "/", "≤": "le", "⩽": "le", "≥": "ge", "⩾": "ge", "≠": "ne"},
    **{"≈": "approx", "≃": "approx", "≡": "equiv", "∈": "in", "∞": "infty", "π": "pi", "∅": "emptyset"},
    **{"±": "pm", "∓": "mp", "∪": "cup", "∩": "cap", "√": "sqrt", "∑": "sum", "∏": "prod", "∫": "int", "°": "degree"},
    **{"∂": "partial", "→": "to", "′": "'", "’": "'", "⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil"},
    **{"∆": "Delta", "Ω": "Omega", "µ": "mu", "𝜋": "pi", "ϕ": "varphi", "ϵ": "varepsilon"},
}
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
VULGAR_FRACTIONS = {
    **{"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5)},
    **{"⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8)},
}
CURRENCIES = frozenset("€£¥")

# Commands without a meaning of their own.
IGNORED = frozenset(
    [
        "quad",
        "qquad",
        "displaystyle",
        "textstyle",
        "scriptstyle",
        "scriptscriptstyle",
        "limits",
        "nolimits",
        "thinspace",
        "medspace",
        "thickspace",
        "enspace",
        "negthinspace",
        "notag",
        "nonumber",
        "hfill",
        "strut",
        "mathstrut",
        "allowbreak",
        "nobreak",
        "relax",
        "rm",
        "bf",
        "it",
        "cal",
        "tiny",
        "small",
        "normalsize",
        "large",
        "Large",
        "LARGE",
        "huge",
        "Huge",
        "hline",
        "noindent",
        "bigstrut",
    ]
)
SIZES = frozenset(f"{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m"))
FONTS = frozenset(
    [
        "mathbf",
        "boldsymbol",
        "bm",
        "mathit",
        "mathsf",
        "mathcal",
        "mathscr",
        "mathfrak",
        "mathtt",
        "mathbb",
        "pmb",
        "mathnormal",
    ]
)
WORD_COMMANDS = frozenset(
    [
        "text",
        "textrm",
        "textbf",
        "textit",
        "textsf",
        "textnormal",
        "mbox",
        "hbox",
        "mathrm",
        "operatorname",
        "operatorname*",
        "rm",
    ]
)
# Fonts of vectors and matrices.
BOLD = frozenset(("mathbf", "boldsymbol", "bm", "pmb"))
ACCENTS = frozenset(
    ["hat", "bar", "vec", "tilde", "dot", "ddot", "widehat", "widetilde", "check", "overrightarrow", "overline"]
)
FRACTIONS = frozenset(("frac", "dfrac", "tfrac", "cfrac"))
BINOMIALS = frozenset(("binom", "dbinom", "tbinom"))
MATRICES = frozenset(
    [
        "matrix",
        "pmatrix",
        "bmatrix",
        "Bmatrix",
        "smallmatrix",
        "array",
        "vmatrix",
        "Vmatrix",
        "psmallmatrix",
        "bsmallmatrix",
    ]
)

RESERVED_NAMES = frozenset(
    (
        *keyword.kwlist,
        *(name for name in FUNCTIONS.values() if name != "lg"),
        *[
            "E",
            "I",
            "pi",
            "oo",
            "Rational",
            "Integer",
            "Mod",
            "Matrix",
            "Tuple",
            "FiniteSet",
            "Interval",
            "Union",
            "Intersection",
            "Complement",
            "EmptySet",
        ],
        *[
            "Eq",
            "Ne",
            "Lt",
            "Le",
            "Gt",
            "Ge",
            "And",
            "Or",
            "Contains",
            "Integral",
            "Derivative",
            "Sum",
            "Product",
            "Limit",
            "Piecewise",
            "binomial",
            "factorial",
        ],
        *[
            "root",
            "transpose",
            "Abs",
            "log",
            "degrees",
            "Reals",
            "Integers",
            "Naturals",
            "Rationals",
            "Complexes",
            "conjugate",
            "print",
            "symbols",
        ],
    )
)


def python_name(name: str) -> str:
    """A name for an unknown that is neither a keyword nor a name of the vocabulary."""
    return f"{name}_" if name in RESERVED_NAMES else name

"""Names a value may use: functions, constants, and the spellings that mean the same."""

from __future__ import annotations

# Canonical name of each function that can be evaluated, by the spellings of SymPy, NumPy, math and LaTeX.
FUNCTIONS = {
    name: spellings.split()[0]
    for spellings in (
        "sqrt",
        "cbrt",
        "root",
        "real_root",
        "exp",
        "log ln",
        "log10 lg",
        "log2",
        "sin",
        "cos",
        "tan tg",
        "cot cotan ctg",
        "sec",
        "csc cosec",
        "asin arcsin",
        "acos arccos",
        "atan arctan",
        "atan2 arctan2",
        "acot arccot",
        "asec arcsec",
        "acsc arccsc",
        "sinh sh",
        "cosh ch",
        "tanh th",
        "coth",
        "sech",
        "csch",
        "asinh arcsinh arsinh",
        "acosh arccosh arcosh",
        "atanh arctanh artanh",
        "acoth arccoth",
        "Abs abs fabs",
        "sign sgn",
        "floor",
        "ceiling ceil",
        "factorial fac",
        "factorial2",
        "gamma Gamma",
        "loggamma",
        "beta_function",
        "binomial comb nCr",
        "perm nPr",
        "gcd igcd",
        "lcm ilcm",
        "Mod mod",
        "Max max Maximum",
        "Min min Minimum",
        "re",
        "im",
        "conjugate conj",
        "arg",
        "erf",
        "erfc",
        "erfi",
        "zeta",
        "Ei",
        "Si",
        "Ci",
        "li",
        "LambertW",
        "besselj",
        "bessely",
        "Heaviside",
        "fibonacci",
        "lucas",
        "harmonic",
        "totient",
        "polygamma",
        "digamma",
        "Integral",
        "Sum",
        "Product",
        "Derivative diff",
        "Limit",
        "Piecewise",
        "RootOf CRootOf rootof",
    )
    for name in spellings.split()
}

CONSTANTS = {
    "pi": "pi",
    "E": "E",
    "I": "I",
    "oo": "oo",
    "inf": "oo",
    "Infinity": "oo",
    "zoo": "zoo",
    "ComplexInfinity": "zoo",
    "nan": "nan",
    "NaN": "nan",
    "GoldenRatio": "GoldenRatio",
    "EulerGamma": "EulerGamma",
    "Catalan": "Catalan",
}

# Prefixes that say where a name comes from, and nothing else.
MODULES = frozenset({"np", "numpy", "sp", "sympy", "math", "mpmath", "mp", "S", "fractions", "decimal", "cmath"})

RELATIONS = {"Eq": "=", "Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}
RELATIONS |= {"Equality": "=", "Unequality": "!=", "StrictLessThan": "<", "LessThan": "<="}
RELATIONS |= {"StrictGreaterThan": ">", "GreaterThan": ">="}

INTERVALS = {
    "Interval": (False, False),
    "Interval.open": (True, True),
    "Interval.Lopen": (True, False),
    "Interval.Ropen": (False, True),
}
COMBINATIONS = {"Union": "union", "Intersection": "intersection", "Complement": "difference"}
LOGIC = {"And": "and", "Or": "or", "Not": "not"}
MATRICES = frozenset(
    {"Matrix", "ImmutableMatrix", "MutableDenseMatrix", "ImmutableDenseMatrix", "SparseMatrix", "matrix"}
)
ARRAYS = frozenset({"array", "asarray", "Array", "ImmutableDenseNDimArray"})
SEQUENCES = {"FiniteSet": "set", "set": "set", "frozenset": "set", "list": "list", "tuple": "tuple", "Tuple": "tuple"}
# A number of some library around a literal: np.float64(2.5), Decimal('0.1'), Integer(3).
WRAPPERS = frozenset(
    [
        "Integer",
        "Float",
        "Decimal",
        "mpf",
        "float",
        "int",
        "float16",
        "float32",
        "float64",
        "longdouble",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool_",
        "complex64",
        "complex128",
        "complex",
        "str",
        "str_",
    ]
)
EMPTY_SETS = frozenset({"EmptySet", "emptyset"})
REALS = frozenset({"Reals", "Real"})

GREEK = frozenset(
    [
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
        "lamda",
        "mu",
        "nu",
        "xi",
        "rho",
        "sigma",
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
        "Phi",
        "Psi",
        "Omega",
    ]
)


def symbol_name(name: str) -> str:
    """The name two spellings of a symbol share: x_1, x_{1} and x1; lambda and lamda; varphi and phi."""
    plain = name.replace("_", "").replace("{", "").replace("}", "").replace("\\", "").replace(",", "")
    if plain.startswith("lambda"):
        plain = "lamda" + plain[6:]
    if plain.startswith("var") and plain[3:] in GREEK:
        plain = plain[3:]
    return plain or name

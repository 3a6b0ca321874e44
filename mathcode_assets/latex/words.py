"""Words that are no products of letters."""

from __future__ import annotations

# fmt: off
# Answers in words.
TEXT_ANSWERS = frozenset(
    {
        "yes", "no", "true", "false", "none", "odd", "even", "undefined", "dne", "infinity",
        "infinite", "impossible", "correct", "incorrect", "positive", "negative",
    }
)
# Runs of letters that are words, not products of unknowns.
WORDS = frozenset(
    {
        "is", "of", "or", "if", "to", "it", "so", "we", "the", "and", "for", "not", "are", "has", "can", "let", "was",
        "but", "all", "any", "one", "two", "mod", "deg", "dim", "ker", "lim", "sup", "inf", "var", "cov", "Var",
        "Cov", "Pr", "sum", "int", "per", "max", "min", "gcd", "lcm", "det", "out", "new", "old", "day", "age", "via",
        "yes", "its", "use", "get", "set", "our", "how", "who", "why", "end", "top", "low", "sec", "cos", "sin",
        "tan", "few", "fit", "Sup", "Inf", "Lim", "Ker", "Dim", "Hom", "End", "Gal", "Aut", "res", "Res", "ord",
        "lub", "glb", "iff",
    }
)
# fmt: on

"""Verdicts on stated results of real texts, beside the reference's rule and math-verify, on the same pairs.

    python benchmarks/verification.py ../shared/data [--per-source 150] [--half held-out] [--errors N] [--no-peers]

Stated results come from verified passages, benchmark answers, formulas of web pages and boxed answers; SymPy reads
them (through latex2sympy, not through our parser) and prints each as different programs would (equal), and once more
with a plausible mistake (unequal; SymPy confirms it). A result belongs to the tuning or the held-out half by a hash
of its text. Reports, for each method: false accepts (verified, unequal), false rejects (not verified, equal), how
many of those were refuted, and milliseconds a pair. With --pairs FILE, a file of {gold, output, equal} rows instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import sympy as sp
import zstandard
from latex2sympy2_extended import latex2sympy
from math_verify import parse as math_verify_parse
from math_verify import verify as math_verify

from mathcode_assets.records import REFUTED, VERIFIED
from mathcode_assets.verification.compare import compare

SEED = 7
X = sp.Symbol("x")
DECIMAL = re.compile(r"-?\d*\.\d+\Z")
INTEGER = re.compile(r"-?\d+\Z")
NOT_A_RESULT = re.compile(
    r"\\(text|mathrm|mathbf|mathbb|mathcal|vec|hat|bar|cdots|ldots|dots|begin\{(?!pmatrix|bmatrix)|pm|mp|lim|int|sum|prod|circ|quad|label|tag|overline|prime|partial|nabla|to|rightarrow|equiv|mid|angle|triangle|sim|approx|neq|ne|over|binom|phi|psi|emptyset|log(?!_))\b|[a-zA-ZΦΨ]\s*\([a-zA-Z,/]*\)|[A-Z][\[(]|\bi\b|I|'|_|\d\s*,\s*\d{3}|!|\|"
)


class Result(NamedTuple):
    source: str
    gold: str
    value: object


class Pair(NamedTuple):
    source: str
    kind: str
    gold: str
    output: str
    equal: bool
    change: str


def half_of(gold: str) -> str:
    return "tuning" if hashlib.sha256(gold.encode()).digest()[0] % 2 else "held-out"


# --- stated results ---


def texts(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Source and its stated results, as they stand."""
    rows = [json.loads(line) for line in (data / "passages/passages.jsonl").read_text().splitlines()]
    yield "passages", [entry["result"] for row in rows for entry in row["expressions"]]
    for name in ("math", "gsm8k"):
        lines = (data / f"benchmarks/{name}.jsonl").read_text().split("\n")
        yield name, [json.loads(line)["answer"] for line in lines if line]
    web: list[str] = []
    for path in sorted((data / "open_web_math/data").glob("*.parquet")):
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
            for found in re.finditer(r"\$([^$\n]{3,200}?)=\s*([^$=<>\n]{1,70}?)\s*\.?\$", text):
                web.append(found[2])
    yield "open_web_math", web
    boxed: list[str] = []
    for path in sorted((data / "synthetic").glob("*.zst")):
        content = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
        boxed += re.findall(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", content)
    yield "synthetic", [re.sub(r"\\\\", r"\\", text) for text in boxed]


def results(data: Path, per_source: int) -> Iterator[Result]:
    """At most so many readable results of each source, integers at most a fifth of them."""
    for source, stated in texts(data):
        generator = random.Random(SEED)
        pool = sorted(set(stated))
        generator.shuffle(pool)
        n_found = n_integers = 0
        for gold in pool:
            gold = gold.strip().strip("$").strip()
            is_integer = bool(INTEGER.match(gold))
            if n_found >= per_source or (is_integer and n_integers >= per_source // 5):
                continue
            value = read(gold)
            if value is None:
                continue
            n_found += 1
            n_integers += is_integer
            yield Result(source, gold, value)


def read(gold: str) -> object:
    """The stated result as SymPy, through latex2sympy; None where it is not read or of no use."""
    if not gold or len(gold) > 80 or NOT_A_RESULT.search(gold.replace("\\%", "")):
        return None
    percent = gold.endswith("\\%")
    body = gold.removesuffix("\\%").strip()
    if INTEGER.match(body):
        return ("percent", sp.Integer(body)) if percent else sp.Integer(body)
    if DECIMAL.match(body):
        return ("percent", ("decimal", body)) if percent else ("decimal", body)
    tuple_like = re.fullmatch(r"(?:\\left)?\((.*?)(?:\\right)?\)", body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if tuple_like and "," in body and not re.search("infty|cup", body):
                parts = [latex2sympy(part.strip()) for part in tuple_like[1].split(",")]
                return tuple(parts) if all(isinstance(part, sp.Expr) for part in parts) else None
            if "," in body and not re.search(r"[\[({]", body):
                return None
            value = latex2sympy(body)
    except Exception:
        return None
    if isinstance(value, sp.MatrixBase) and all(isinstance(entry, sp.Expr) for entry in value):
        return sp.Matrix(value)
    if isinstance(value, (sp.FiniteSet, sp.Interval, sp.Union)):
        return value
    if not isinstance(value, sp.Expr) or value.has(sp.nan, sp.zoo, sp.oo) or len(value.free_symbols) > 4:
        return None
    if value.has(sp.Float) or isinstance(value, (sp.Order,)):
        return None
    letters = {symbol.name for symbol in value.free_symbols}
    return value if all(re.fullmatch(r"[a-zA-Z]|alpha|beta|theta|lambda", name) for name in letters) else None


# --- what programs print ---


def labelled(text: str, rng: random.Random) -> str:
    forms = ["{}"] * 6 + ["The answer is {}", "Result: {}", "x = {}", "The value is {}.", "Answer: {}", "[{}]"]
    return rng.choice(forms).format(text)


def printed(value: object, rng: random.Random) -> str:
    """The value as some program prints it."""
    if isinstance(value, tuple) and value[0] == "percent":
        inner = value[1]
        if isinstance(inner, tuple):
            inner = sp.Rational(inner[1])
        return rng.choice([f"{float(inner)}%", repr(float(inner)), repr(float(inner) / 100), str(inner)])
    if isinstance(value, tuple) and value[0] == "decimal":
        places = len(value[1].split(".")[1])
        hidden = Fraction(value[1]) + Fraction(rng.randint(-44, 44), 100) * Fraction(1, 10**places)
        return labelled(
            rng.choice(
                [repr(float(hidden)), value[1], f"{float(Fraction(value[1]))}", f"{float(hidden):.{places + 3}f}"]
            ),
            rng,
        )
    if isinstance(value, tuple):
        style = rng.randrange(3)
        if style == 2:
            return "[" + ", ".join(repr(float(part)) if not part.free_symbols else str(part) for part in value) + "]"
        return str(value) if style else str(list(value))
    if isinstance(value, sp.MatrixBase):
        if not value.free_symbols and rng.random() < 0.5:
            return str(np.array(value.tolist(), dtype=float))
        return rng.choice([str(sp.Matrix(value)), repr(sp.Matrix(value)), str(value.tolist())])
    if isinstance(value, sp.FiniteSet):
        items = list(value)
        rng.shuffle(items)
        return rng.choice([str(value), str(items), str(value)])
    if isinstance(value, (sp.Interval, sp.Union)):
        return rng.choice([str(value), str(value.as_relational(X))])
    expression = sp.sympify(value)
    if expression.free_symbols:
        forms = [
            str,
            lambda e: str(sp.expand(e)),
            lambda e: str(sp.factor(e)),
            lambda e: str(sp.together(e)),
            lambda e: str(sp.simplify(e)),
        ]
        return rng.choice(["{}", "{}", "{}", "Result: {}", "f = {}"]).format(rng.choice(forms)(expression))
    if isinstance(expression, sp.Integer):
        noise = repr(float(expression) * (1 + 2e-16)) if abs(expression) < 10**9 else str(expression)
        return labelled(
            rng.choice(
                [
                    str(expression),
                    str(expression),
                    f"{float(expression)}" if abs(expression) < 10**15 else str(expression),
                    noise,
                ]
            ),
            rng,
        )
    if isinstance(expression, sp.Rational):
        forms_ = [
            str(expression),
            repr(float(expression)),
            str(sp.N(expression)),
            f"Fraction({expression.p}, {expression.q})",
            f"np.float64({float(expression)!r})",
        ]
        return labelled(rng.choice(forms_), rng)
    number = complex(expression)
    if abs(number.imag) > 1e-12:
        return rng.choice([str(expression), str(number), str(sp.N(expression))])
    forms_ = [
        str(expression),
        repr(number.real),
        str(sp.N(expression)),
        str(sp.N(expression, 30)),
        str(sp.nsimplify(sp.expand(expression))),
        f"{number.real:.8f}",
    ]
    return labelled(rng.choice(forms_ if abs(number.real) > 1e-3 else forms_[:4]), rng)


# --- plausible mistakes ---


def digit_changed(number: Fraction | sp.Integer, rng: random.Random) -> sp.Integer:
    digits = list(str(abs(int(number))))
    place = rng.randrange(len(digits))
    digits[place] = str((int(digits[place]) + rng.randint(1, 8)) % 10)
    return sp.Integer(("-" if number < 0 else "") + "".join(digits))


def mistaken(value: object, rng: random.Random) -> tuple[object, str] | None:
    """Another value, and what was done; None where nothing fits."""
    if isinstance(value, tuple) and value[0] == "percent":
        inner = value[1]
        if isinstance(inner, tuple):
            changed = mistaken(inner, rng)
            return None if changed is None or changed[1] == "factor" else (("percent", changed[0]), changed[1])
        return ("percent", inner + rng.choice([1, -1, 10])), "off by one"
    if isinstance(value, tuple) and value[0] == "decimal":
        text = value[1]
        places = len(text.split(".")[1])
        unit = Fraction(1, 10**places)
        number = Fraction(text)
        kind = rng.choice(["last place", "last place", "rounding", "sign", "factor", "digit"])
        if kind == "sign":
            return (("decimal", text[1:] if text.startswith("-") else "-" + text), kind) if number else None
        if kind == "factor":
            return (
                (sp.Rational(number * rng.choice([10, Fraction(1, 10), 100, Fraction(1, 100)])), kind)
                if number
                else None
            )
        if kind == "digit":
            whole = digit_changed(number * 10**places, rng)
            other = Fraction(int(whole), 10**places)
            return (("decimal", f"{float(other):.{places}f}"), kind) if other != number else None
        step = Fraction(rng.randint(60, 95), 100) if kind == "rounding" else 1 + Fraction(rng.randint(0, 100), 1000)
        shifted = number + rng.choice([-1, 1]) * step * unit
        return sp.Rational(shifted.numerator, shifted.denominator), kind
    if isinstance(value, tuple):
        if rng.random() < 0.4 and list(value) != list(value)[::-1]:
            return tuple(reversed(value)), "order"
        place = rng.randrange(len(value))
        changed = mistaken(value[place], rng)
        return None if changed is None else ((*value[:place], changed[0], *value[place + 1 :]), "member: " + changed[1])
    if isinstance(value, sp.MatrixBase):
        if rng.random() < 0.3 and value.shape[0] == value.shape[1] and value != value.T:
            return value.T, "transposed"
        place = rng.randrange(len(value))
        changed = mistaken(list(value)[place], rng)
        if changed is None:
            return None
        entries = list(value)
        entries[place] = changed[0]
        return sp.Matrix(*value.shape, entries), "entry: " + changed[1]
    if isinstance(value, sp.FiniteSet):
        items = list(value)
        if len(items) > 1 and rng.random() < 0.5:
            items.pop(rng.randrange(len(items)))
            return sp.FiniteSet(*items), "member lost"
        changed = mistaken(items[0], rng)
        return None if changed is None else (sp.FiniteSet(*items[1:], changed[0]), "member: " + changed[1])
    if isinstance(value, sp.Interval):
        if rng.random() < 0.5 and value.start.is_finite:
            return sp.Interval(value.start, value.end, not value.left_open, value.right_open), "open or closed"
        if value.end.is_finite:
            return sp.Interval(value.start, value.end + 1, value.left_open, value.right_open), "end moved"
        return sp.Interval(value.start - 1, value.end, value.left_open, value.right_open), "end moved"
    if isinstance(value, sp.Union):
        return value.args[rng.randrange(len(value.args))], "part lost"
    return mistaken_expression(sp.sympify(value), rng)


def mistaken_expression(value: sp.Expr, rng: random.Random) -> tuple[sp.Expr, str] | None:
    candidates: list[tuple[sp.Expr, str]] = [
        (-value, "sign"),
        (value * 10, "factor"),
        (value / 10, "factor"),
        (value + 1, "off by one"),
    ]
    if isinstance(value, sp.Integer):
        candidates += [(digit_changed(value, rng), "digit"), (value - 1, "off by one"), (value * 2, "factor")]
    elif isinstance(value, sp.Rational):
        candidates += [
            (1 / value, "swapped"),
            (sp.Rational(value.p + 1, value.q), "numerator"),
            (sp.Rational(value.p, value.q + 1), "denominator"),
        ]
    else:
        if isinstance(value, sp.Add):
            terms = list(value.args)
            place = rng.randrange(len(terms))
            candidates += [(sp.Add(*terms[:place], *terms[place + 1 :]), "term lost")]
            candidates += [(sp.Add(*terms[:place], -terms[place], *terms[place + 1 :]), "sign of a term")]
        if isinstance(value, sp.Mul) and len(value.args) > 1:
            place = rng.randrange(len(value.args))
            candidates.append((sp.Mul(*value.args[:place], *value.args[place + 1 :]), "factor lost"))
        numbers = sorted(value.atoms(sp.Integer) - {sp.Integer(-1)}, key=str)
        if numbers:
            one = rng.choice(numbers)
            candidates.append((value.subs(one, one + 1), "number"))
        if value.free_symbols:
            symbols = sorted(value.free_symbols, key=str)
            if len(symbols) > 1:
                candidates.append(
                    (value.subs({symbols[0]: symbols[1], symbols[1]: symbols[0]}, simultaneous=True), "symbols swapped")
                )
        else:
            candidates.append((value * 180 / sp.pi, "degrees"))
    rng.shuffle(candidates)
    for changed, name in candidates:
        if surely_differs(value, changed):
            return changed, name
    return None


def surely_differs(one: sp.Expr, other: sp.Expr) -> bool:
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    for shift in (0, 1):
        point = {symbol: sp.Rational(7 + 3 * number + shift, 5) for number, symbol in enumerate(symbols)}
        try:
            values = [complex(sp.N(side.subs(point), 20)) for side in (one, other)]
        except (TypeError, ValueError):
            return False
        if abs(values[0] - values[1]) > 1e-6 * max(map(abs, values)):
            return True
    return False


def pairs(found: Iterator[Result]) -> Iterator[Pair]:
    for result in found:
        rng = random.Random(f"{SEED}/{result.gold}")
        kind = (
            type(result.value).__name__
            if not isinstance(result.value, tuple)
            else str(result.value[0] if isinstance(result.value[0], str) else "tuple")
        )
        try:
            yield Pair(result.source, kind, result.gold, printed(result.value, rng), True, "")
            changed = mistaken(result.value, rng)
            # Beside + C, another constant is no mistake.
            if changed is not None and not (changed[1] == "off by one" and re.search(r"\+\s*[cC]$", result.gold)):
                yield Pair(result.source, kind, result.gold, printed(changed[0], rng), False, changed[1])
        except (
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            ZeroDivisionError,
            RecursionError,
            NotImplementedError,
        ):
            continue


# --- methods ---


def ours(pair: Pair) -> str:
    return compare(pair.gold, pair.output).verdict


def reference_rule(pair: Pair) -> str:
    """Keeps everything but two plain numbers more than 0.01 apart."""
    try:
        return VERIFIED if abs(complex(pair.gold) - complex(pair.output.strip())) < 0.01 else REFUTED
    except ValueError:
        return VERIFIED


def math_verify_raw(pair: Pair) -> str:
    return VERIFIED if math_verify(math_verify_parse(f"${pair.gold}$"), math_verify_parse(pair.output)) else REFUTED


def math_verify_latex(pair: Pair) -> str:
    try:
        printed_ = sp.latex(sp.sympify(pair.output))
    except Exception:
        return REFUTED
    return VERIFIED if math_verify(math_verify_parse(f"${pair.gold}$"), math_verify_parse(f"${printed_}$")) else REFUTED


METHODS: dict[str, Callable[[Pair], str]] = {
    "ours": ours,
    "reference: complex() within 0.01": reference_rule,
    "math-verify on stdout": math_verify_raw,
    "math-verify on latex(sympify(stdout))": math_verify_latex,
}


def measure(name: str, method: Callable[[Pair], str], measured: list[Pair], n_errors: int) -> None:
    start = time.perf_counter()
    verdicts = [method(pair) for pair in measured]
    elapsed = time.perf_counter() - start
    wrong = [pair for pair, verdict in zip(measured, verdicts, strict=True) if verdict == VERIFIED and not pair.equal]
    missed = [
        (pair, verdict) for pair, verdict in zip(measured, verdicts, strict=True) if verdict != VERIFIED and pair.equal
    ]
    refuted = sum(verdict == REFUTED for _, verdict in missed)
    n_equal = sum(pair.equal for pair in measured)
    print(
        f"{name:40} {len(wrong):4} of {len(measured) - n_equal} ({len(wrong) / max(1, len(measured) - n_equal):.1%})"
        f"   {len(missed):4} of {n_equal} ({len(missed) / max(1, n_equal):.1%})   {refuted:4}"
        f"   {1000 * elapsed / len(measured):7.2f} ms"
    )
    for pair in wrong[:n_errors]:
        print("  ACCEPTED", pair)
    for pair, verdict in missed[:n_errors]:
        print("  MISSED", verdict, pair)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--per-source", type=int, default=150)
    parser.add_argument("--half", choices=("tuning", "held-out"))
    parser.add_argument("--errors", type=int, default=0, metavar="N", help="show so many errors of ours")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--pairs", type=Path, help="rows gold, output, equal instead of built pairs")
    arguments = parser.parse_args()
    if arguments.pairs:
        rows = [json.loads(line) for line in arguments.pairs.read_text().splitlines()]
        built = [Pair("file", row.get("kind", ""), row["gold"], row["output"], row["equal"], "") for row in rows]
        halves = {"all": built}
    else:
        built = list(pairs(results(arguments.data, arguments.per_source)))
        halves = {name: [pair for pair in built if half_of(pair.gold) == name] for name in ("tuning", "held-out")}
    for half, measured in halves.items():
        if arguments.half and half != arguments.half:
            continue
        print(
            f"\n{half}: {len(measured)} pairs {dict(Counter(pair.source for pair in measured))}\n"
            f"{dict(Counter(pair.kind for pair in measured))}"
        )
        print(f"{'method':40} false accepts      false rejects      of them refuted   a pair")
        for name, method in METHODS.items():
            if name == "ours" or not arguments.no_peers:
                measure(name, method, measured, arguments.errors if name == "ours" else 0)


if __name__ == "__main__":
    main()

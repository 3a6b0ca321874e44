"""Benchmark questions planted in clean documents, by kind and by seed: what the self-test looks for.

The question goes in as a paragraph of its own without any lead-in ("Problem:", "Q:"), because a lead-in
would give it away. Every kind says what the scan should answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from mathcode_assets.records import CONTAMINATED, NEAR

VERBATIM, WITH_SOLUTION, FORMATTING = "verbatim", "with_solution", "formatting"
SPLIT, TRUNCATED, NUMBERS, SHORT = "split", "truncated_70", "number_substituted", "short"
EDITED = "word_edited"
KINDS = (VERBATIM, WITH_SOLUTION, FORMATTING, SPLIT, TRUNCATED, NUMBERS, SHORT, EDITED)
EXPECTED = {kind: NEAR if kind == NUMBERS else CONTAMINATED for kind in KINDS}

_NUMBER = re.compile(r"(?<![\w.\\])\d+(?:\.\d+)?(?![\w]*\})(?!\w)")
_WORD_NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_WORD_NUMBER = re.compile(r"\b(" + "|".join(_WORD_NUMBERS) + r")\b", re.IGNORECASE)
_SMALL = ["zero", "one", *_WORD_NUMBERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What planting needs of a benchmark item."""

    question: str
    answer: str
    solution: str


def plant(kind: str, item: Item, host: str, rng: random.Random) -> str | None:
    """The host with the item in it, or None where the item cannot be planted so (no number to change)."""
    pieces = _MAKERS[kind](item, rng)
    if pieces is None:
        return None
    paragraphs = re.split(r"(\n\n+)", host)  # paragraphs at even places, what separates them at odd ones
    slots = list(range(0, len(paragraphs), 2))
    at = rng.choice(slots)
    if len(pieces) == 2 and len(slots) > 1:  # halves with one paragraph of the host between them
        at = rng.choice(slots[:-1])
        middle = [paragraphs[at + 2]]
        new = [pieces[0], "\n\n", *middle, "\n\n", pieces[1]]
        return "".join([*paragraphs[: at + 1], "\n\n", *new, "\n\n", *paragraphs[at + 4 :]])
    return "".join([*paragraphs[: at + 1], "\n\n", "\n\n".join(pieces), "\n\n", *paragraphs[at + 2 :]])


def _verbatim(item: Item, rng: random.Random) -> list[str]:
    return [item.question]


def _with_solution(item: Item, rng: random.Random) -> list[str] | None:
    told = item.solution or item.answer
    return [f"{item.question}\n\n{told}"] if told else None


def _short(item: Item, rng: random.Random) -> list[str]:
    if item.answer and len(item.answer) < 40 and rng.random() < 0.5:
        return [f"{item.question}\n\n{item.answer}"]
    return [item.question]


def _split(item: Item, rng: random.Random) -> list[str] | None:
    borders = [m.end() for m in re.finditer(r"[.?!]\s+", item.question)]
    borders = borders or [m.end() for m in re.finditer(r"\s+", item.question)]
    middle = [b for b in borders if 0.2 < b / len(item.question) < 0.8]
    if not middle:
        return None
    at = min(middle, key=lambda b: abs(b - len(item.question) / 2))
    halves = [item.question[:at].strip(), item.question[at:].strip()]
    return halves if rng.random() < 0.5 else ["\n\n".join(halves)]


def _truncated(item: Item, rng: random.Random) -> list[str]:
    words = re.findall(r"\S+\s*", item.question)
    kept = "".join(words[: max(1, round(0.7 * len(words)))]).rstrip()
    return [kept + (" ..." if rng.random() < 0.5 else "")]


def _edited(item: Item, rng: random.Random) -> list[str] | None:
    """Every twelfth word or so replaced by another word."""
    words = item.question.split(" ")
    plain = [k for k, word in enumerate(words) if word.isalpha() and len(word) > 3 and word.lower() not in _SMALL]
    if len(plain) < 8:
        return None
    for k in rng.sample(plain, min(len(plain), max(1, len(words) // 12))):
        words[k] = rng.choice(("certain", "given", "particular", "other", "actual", "simple"))
    return [" ".join(words)]


def _renumbered(item: Item, rng: random.Random) -> list[str] | None:
    """Two numbers or more changed, all of them where there are not more."""
    digits, words = list(_NUMBER.finditer(item.question)), list(_WORD_NUMBER.finditer(item.question))
    found = sorted([*digits, *words], key=lambda m: m.start())
    if not found:
        return None
    chosen = rng.sample(found, min(len(found), max(2, round(0.6 * len(found)))))
    text = item.question
    for match in sorted(chosen, key=lambda m: -m.start()):
        text = text[: match.start()] + _another(match.group(), rng) + text[match.end() :]
    return [text]


def _another(number: str, rng: random.Random) -> str:
    if number.isalpha():
        other = rng.choice([w for w in _WORD_NUMBERS if w != number.lower()])
        return other.capitalize() if number[0].isupper() else other
    value = float(number)
    step = rng.randint(1, 9) + (rng.randint(0, 30) if value >= 20 else 0)
    return f"{value + step:.1f}" if "." in number else str(int(value) + step)


def _formatted(item: Item, rng: random.Random) -> list[str]:
    return [rng.choice(_DRESSES)(item.question, rng)]


def _dress_case(text: str, rng: random.Random) -> str:
    return rng.choice((str.upper, str.lower, str.title))(text)


def _dress_space(text: str, rng: random.Random) -> str:
    return re.sub(r"\s+", lambda _: rng.choice((" ", "  ", "\n", " \n ", "\t")), text)


def _dress_unicode(text: str, rng: random.Random) -> str:
    text = text.replace(" ", "\u00a0").replace("'", "’").replace('"', "“")
    return re.sub(r"(?<=[a-z])-(?=[a-z])", "\u2010", text)


def _dress_latex(text: str, rng: random.Random) -> str:
    text = re.sub(r"\$([^$]+)\$", r"\\( \1 \\)", text) if "$" in text else re.sub(r"\b(\d+)\b", r"$\1$", text)
    return text.replace("\\frac", "\\dfrac").replace("\\leq", "\\le")


def _dress_markdown(text: str, rng: random.Random) -> str:
    text = re.sub(r"(?<![\w.,])(\d+)(?![\w.,])", r"**\1**", text)
    return "\n".join(f"> {line}" for line in re.sub(r"(?<=[.?!])\s+", "\n", text).split("\n"))


def _dress_number_words(text: str, rng: random.Random) -> str:
    def word(match: re.Match[str]) -> str:
        return _SMALL[int(match.group())] if int(match.group()) < len(_SMALL) else match.group()

    return re.sub(r"(?<![\w.,$\\{^_/+*=()-])\d+(?=\s[a-z])", word, text)


_DRESSES: tuple[Callable[[str, random.Random], str], ...] = (
    _dress_case, _dress_space, _dress_unicode, _dress_latex, _dress_markdown, _dress_number_words,
)  # fmt: skip
_MAKERS: dict[str, Callable[[Item, random.Random], list[str] | None]] = {
    VERBATIM: _verbatim,
    WITH_SOLUTION: _with_solution,
    FORMATTING: _formatted,
    SPLIT: _split,
    TRUNCATED: _truncated,
    NUMBERS: _renumbered,
    SHORT: _short,
    EDITED: _edited,
}

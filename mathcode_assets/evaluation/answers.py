r"""The answer a completion gives: in a box, after "the answer is", as its last number, or as the letter of an option.

Only finds it; whether it is right is decided by `judging`. A model without tuning goes on after its answer with a
problem of its own, so what follows the first new problem is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BOXED = "boxed"
STATED = "stated"
HASHES = "hashes"
LAST_NUMBER = "last_number"
LETTER = "letter"
NOTHING = "nothing"

# Longer than any answer worth comparing; a completion may be one long loop.
MAX_ANSWER_CHARS = 1_000
# Of what follows "the answer is": a sentence, not the rest of a loop.
MAX_STATED_CHARS = 4_000
MAX_BOXES = 50

_NEXT_PROBLEM = re.compile(r"\n\s*(?:Problem|Question|Q)\s*(?:\d+\s*)?[:.]")
_BOX = re.compile(r"\\f?box(?:ed)?\s*")
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_STATED = re.compile(r"\banswers?\s*(?:is|are|:|=|would\s+be|equals)\s*:?\s*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|(?<=[^\s.])[.!?;](?=\s|\Z)|(?<=\$)\.|\s+(?:because|since|as\s+we)\b")
_DELIMITERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_NEXT_FORMULA = re.compile(r"\s*(?:,\s*)?(?:(?:and|or)\s+)?(?<=[\s,])(?=\$|\\\()")
_HEDGES = re.compile(r"\A(?:(?:approximately|about|exactly|simply|therefore|thus|equal\s+to|just|now)\b[\s:]*)+", re.I)
_NUMBER = re.compile(
    r"(?:(?<![\w.)}\]])-)?\\[dt]?frac\s*\{[^{}]{1,40}\}\s*\{[^{}]{1,40}\}"
    r"|(?:(?<![\w.)}\]])-)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?:/\d+(?:\.\d+)?)?\s?(?:\\?%)?"
    r"|(?:(?<![\w.)}\]])-)?(?<!\d)\.\d+"
)
_BOLD = re.compile(r"(\*\*|__|`)(?=\S)([^*_`]+)\1(?!\w)")
_LETTER_STATED = re.compile(
    r"(?:answer|option|choice)\s*(?:is|:|=)?\s*:?\s*(?:option|choice)?\s*"
    r"[\$\[{*]*\s*(?:\\(?:text|textbf|mathrm|boxed)\s*\{)*\s*(?:\(\s*([A-Za-z])\s*\)|((?-i:[A-Z]))(?![A-Za-z']))",
    re.IGNORECASE,
)
_LETTER_ALONE = re.compile(r"\A[\s\$(\[*]*([A-Z])(?:[\s\$)\]*.:,]|\Z)")
_LETTER_IN_BOX = re.compile(r"\A[\s\$(]*(?:\\(?:text|textbf|mathrm)\s*\{)*\s*\(?([A-Z])(?![A-Za-z])")
_LETTER_BRACKETED = re.compile(r"\(([A-Z])\)")


@dataclass(frozen=True, slots=True)
class Extracted:
    """The answer, as it stands in the completion, and where it was found; empty text with method `nothing`."""

    text: str
    method: str


def extract_answer(completion: str) -> Extracted:
    """The answer of a worked solution: the last box, else what is stated last, else the last number."""
    text = own_part(completion)
    box = last_box(text)
    if box:
        return Extracted(box[:MAX_ANSWER_CHARS], BOXED)
    hashes = _HASHES.findall(text)
    if hashes and cleaned(hashes[-1]):
        return Extracted(cleaned(hashes[-1]), HASHES)
    for found in reversed(list(_STATED.finditer(text))[-MAX_BOXES:]):
        rest = _HEDGES.sub("", text[found.end() : found.end() + MAX_STATED_CHARS].lstrip())
        stated = cleaned(first_sentence(rest))
        if stated:
            return Extracted(stated, STATED)
    numbers = _NUMBER.findall(text)
    if numbers:
        return Extracted(cleaned(numbers[-1]), LAST_NUMBER)
    return Extracted("", NOTHING)


def extract_option(completion: str, n_options: int) -> Extracted:
    """The letter of the option a completion chooses, among the first n_options of the alphabet."""
    text = own_part(completion)
    letters = {chr(ord("A") + number) for number in range(n_options)}
    box = _LETTER_IN_BOX.match(last_box(text))
    if box and box[1] in letters:
        return Extracted(box[1], BOXED)
    stated = [letter for found in _LETTER_STATED.finditer(text) if (letter := _chosen(found)) in letters]
    if stated:
        return Extracted(stated[-1], STATED)
    alone = _LETTER_ALONE.match(text)
    if alone and alone[1] in letters:
        return Extracted(alone[1], LETTER)
    bracketed = [letter for letter in _LETTER_BRACKETED.findall(text) if letter in letters]
    if bracketed:
        return Extracted(bracketed[-1], LETTER)
    return Extracted("", NOTHING)


def _chosen(found: re.Match[str]) -> str:
    """The letter of a statement. A small one without bracket is an article: "the answer is a number"."""
    letter = found[1] or found[2]
    return letter.upper() if found[1] else letter


def own_part(completion: str) -> str:
    """The completion up to where it begins another problem, with the minus sign of ASCII."""
    found = _NEXT_PROBLEM.search(completion)
    text = completion[: found.start()] if found else completion
    return text.replace("\u2212", "-").replace("\u2013", "-").strip()


def last_box(text: str) -> str:
    r"""What the last closed ``\boxed{...}`` (or ``\boxed 5``) holds; empty where there is none."""
    # A model in a loop opens boxes by the thousand; the last closed one is among the last ones or nowhere.
    for found in reversed(list(_BOX.finditer(text))[-MAX_BOXES:]):
        rest = text[found.end() :]
        if not rest.startswith("{"):
            bare = re.match(r"[-\w.,/]+", rest) if found[0].endswith(" ") else None
            if bare:
                return bare[0].rstrip(".,")
            continue
        depth = 0
        for position, character in enumerate(rest):
            escaped = position > 0 and rest[position - 1] == "\\"
            depth += 0 if escaped else {"{": 1, "}": -1}.get(character, 0)
            if depth == 0:
                inner = rest[1:position].strip()
                if inner:
                    return inner
                break
    return ""


def first_sentence(text: str) -> str:
    """Up to the end of the sentence; a full stop inside a number or a formula does not end it.

    Where it begins with a formula, that formula is all: `$5$ apples` is 5; `$1$, $2$ and $3$` are three.
    """
    formulas, _ = leading_formulas(text.lstrip())
    if formulas:
        return ", ".join(formulas)
    end = _SENTENCE_END.search(text.lstrip())
    return text.lstrip()[: end.start()] if end else text


def joined_formulas(text: str) -> str:
    """`$-2$, $2$` as `-2, 2`: reference answers in several formulas; any other text as it is."""
    formulas, rest = leading_formulas(text.strip())
    return ", ".join(formulas) if len(formulas) > 1 and not rest.strip(" .") else text


def leading_formulas(text: str) -> tuple[list[str], str]:
    """The formulas a text begins with, one after another, and what follows the last."""
    formulas: list[str] = []
    while (found := first_formula(text)) is not None:
        formula, text = found
        formulas.append(formula)
        following = _NEXT_FORMULA.match(text)
        if following is None:
            break
        text = text[following.end() :]
    return formulas, text


def first_formula(text: str) -> tuple[str, str] | None:
    """The formula a text begins with, without its delimiters, and what follows; None where it begins otherwise."""
    for opening, closing in _DELIMITERS:
        if not text.startswith(opening):
            continue
        end = text.find(closing, len(opening))
        inner = text[len(opening) : end].strip() if end > 0 else ""
        # "$18 per day, $36 in two" is money.
        is_money = opening == "$" and re.match(r"[\d.,]+\s+[a-z]", inner) is not None
        if inner and "\n\n" not in inner and not is_money:
            return inner, text[end + len(closing) :]
    return None


def cleaned(answer: str) -> str:
    """Without bold marks, hedging words and a closing full stop; cut to MAX_ANSWER_CHARS."""
    text = _BOLD.sub(r"\2", answer.strip())
    text = _HEDGES.sub("", text.lstrip("* ")).strip()
    text = text.rstrip(" .,;:!*").strip()
    return text[:MAX_ANSWER_CHARS]

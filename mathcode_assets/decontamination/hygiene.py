r"""What is wrong with benchmark files, found rather than known: instructions, empty items, shared items.

The bundled GSM8K begins every row with an instruction about ``\\boxed{}`` that no document of the
wild would carry; matched with it, a verbatim question loses a fifth of its n-grams.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.text.normalise import Tokens

MIN_ITEMS = 5  # fewer questions cannot show what they have in common


@dataclass(frozen=True, slots=True, kw_only=True)
class HygieneReport:
    """What was found in the benchmark files."""

    instructions: dict[str, list[str]]  # benchmark -> openings and endings removed from its questions
    without_content: list[str]  # benchmark/question_index of items too short to look for
    shared: list[list[str]]  # groups of items with the same normalised question

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> HygieneReport:
        """The report as `dataclasses.asdict` wrote it."""
        return cls(**value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """Words that most questions of a benchmark begin, or end, with."""

    hashes: tuple[int, ...]
    at_end: bool
    text: str

    def strip(self, question: str, tokens: Tokens) -> tuple[str, bool]:
        """The question without the instruction, and whether it had it."""
        n = len(self.hashes)
        if len(tokens) <= n:
            return question, False
        own = tokens.hashes[-n:] if self.at_end else tokens.hashes[:n]
        if tuple(own.tolist()) != self.hashes:
            return question, False
        data = question.encode()
        if self.at_end:
            return data[: tokens.stops[-n - 1]].decode("utf-8", "ignore").strip(), True
        # What closes the instruction (a brace, a quote, a full stop) goes with it: cut after the last
        # white space before the first token of the question itself.
        first = int(tokens.starts[n])
        gap = data[int(tokens.stops[n - 1]) : first]
        blank = max(gap.rfind(b" "), gap.rfind(b"\n"), gap.rfind(b"\t"))
        return data[first - len(gap) + blank + 1 :].decode("utf-8", "ignore").strip(), True


def find_instructions(questions: list[str], tokens: list[Tokens], config: DecontaminationConfig) -> list[Instruction]:
    """The opening and the ending most questions of one benchmark share, if long enough to instruct."""
    found = []
    for at_end in (False, True):
        hashes = _common(tokens, at_end=at_end, share=config.prefix_share)
        if len(hashes) >= config.prefix_tokens:
            found.append(Instruction(hashes=hashes, at_end=at_end, text=_text(questions, tokens, hashes, at_end)))
    return found


def find_shared(table: pa.Table, tokens: list[Tokens]) -> list[list[str]]:
    """Groups of items whose normalised questions are equal, within or between benchmarks."""
    groups: dict[bytes, list[str]] = {}
    names = zip(table["benchmark"].to_pylist(), table["question_index"].to_pylist(), strict=True)
    for (benchmark, number), own in zip(names, tokens, strict=True):
        if len(own):
            groups.setdefault(own.hashes.tobytes(), []).append(f"{benchmark}/{number}")
    return sorted(group for group in groups.values() if len(group) > 1)


def _common(tokens: list[Tokens], *, at_end: bool, share: float) -> tuple[int, ...]:
    """Longest run of tokens that at least this share of the questions begins (or ends) with."""
    rows = [own.hashes[::-1] if at_end else own.hashes for own in tokens]
    needed = share * len(rows)
    alive: list[np.ndarray] = rows
    run: list[int] = []
    while len(rows) >= MIN_ITEMS:
        counts = Counter(int(row[len(run)]) for row in alive if len(row) > len(run))
        if not counts:
            break
        value, count = min(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if count < needed:
            break
        alive = [row for row in alive if len(row) > len(run) and int(row[len(run)]) == value]
        run.append(value)
    return tuple(reversed(run)) if at_end else tuple(run)


def _text(questions: list[str], tokens: list[Tokens], hashes: tuple[int, ...], at_end: bool) -> str:
    n = len(hashes)
    for question, own in zip(questions, tokens, strict=True):
        run = own.hashes[-n:] if at_end else own.hashes[:n]
        if tuple(run.tolist()) == hashes:
            first, last = (len(own) - n, len(own) - 1) if at_end else (0, n - 1)
            return question.encode()[own.starts[first] : own.stops[last]].decode("utf-8", "ignore")
    return ""

"""Thresholds of the decontamination stage, each with where it comes from.

"Tuned" means: chosen on the first half of a probe set planted by seed in real documents
(`decontamination.self_test` makes such sets) and confirmed on the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

GRAM = 5  # tokens; verified recall 100 % on verbatim, 13-grams lose a third where numbers change
SHORT_GRAM = 3  # for questions too short to hold a 5-gram


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminationConfig:
    """What counts as a benchmark question inside a document."""

    # --- index ---
    max_gram_items: int = 64  # a masked n-gram in more items is a template: it must then match exactly
    max_exact_items: int = 256  # an n-gram in more items says nothing about any of them
    prefix_share: float = 0.8  # an opening or ending common to this share of a benchmark is an instruction
    prefix_tokens: int = 4  # ... if it is at least this long: "Find the" is language
    min_tokens: int = 3  # below, a question has no content of its own ("0 * 2.06")

    # --- candidates ---
    candidate_share: float = (
        0.2  # of the item's n-gram weight anywhere in the document; tuned for 1 edit in 8 words
    )
    gap_tokens: int = 400  # between two halves of one question; further apart they are joined by their union
    max_alignments: int = 48  # for one item in one stretch of document, best n-gram evidence first

    # --- verdict ---
    short_tokens: int = 13  # below, the question must be there word for word (issue: about 570 in MATH)
    near_coverage: float = 0.5  # of the item's token weight
    contaminated_coverage: float = 0.72  # tuned: single-word edits keep 0.8, a shared theorem 0.5
    cut_coverage: float = (
        0.5  # for an item cut at 70 %: it must begin where the item begins and stop at a line end
    )
    min_information: float = 30.0  # nats of matched token weight; tuned on templates and theorem statements
    short_information: float = (
        22.0  # nats; a short question with less needs its answer near, or a line of its own
    )
    trivial_information: float = 9.0  # nats; below this even the answer near it proves nothing
    answer_window: int = 80  # tokens after a short question in which its answer counts as near
    evidence_characters: int = 600

"""Settings of deduplication: which copy stays, and what counts as a near duplicate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mathcode_assets.deduplication.exact import CODE, PROSE, TextKind


@dataclass(frozen=True, slots=True, kw_only=True)
class DeduplicationConfig:
    """Which copy stays, and what counts as one.

    Attributes:
        preference: components, the one whose copy stays first: curated sources before crawls, human text before
            generated. Copies in one component are taken by partition key, then row. One order for exact and near
            duplicates, so the verdict on a document never depends on which of the two it is.
        code_components: components whose texts are compared as `CODE`.
        near: also look for near duplicates.
        threshold: Jaccard similarity of the sets of word 5-grams from which two texts are near duplicates, in (0, 1].
            0.8 is the field's usual bar, and the bands find 99.8 % of the pairs there; 92 % at 0.7, 62 % at 0.6.
        crowd: a bucket of more distinct texts than this is crowded: its texts are compared with its most preferred
            ones alone, not all with all. 100 makes at most 4,950 pairs of a bucket.
        crowd_leaders: how many those are.
    """

    preference: Sequence[str] = (
        "textbooks",
        "open_web_math",
        "cc_en_math",
        "code_python",
        "code_jupyter_structured",
        "code_jupyter_scripts",
        "synthetic",
        "translated_open_web_math",
        "translated_cc_en_math",
    )
    # Translated documents hold Python in fences, where indentation matters too.
    code_components: Sequence[str] = (
        "code_python",
        "code_jupyter_structured",
        "code_jupyter_scripts",
        "translated_open_web_math",
        "translated_cc_en_math",
    )
    near: bool = True
    threshold: float = 0.8
    crowd: int = 100
    crowd_leaders: int = 16

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(f"threshold {self.threshold} is not in (0, 1]")
        if self.crowd < 2 or self.crowd_leaders < 1:
            raise ValueError(f"a crowd of {self.crowd} with {self.crowd_leaders} leaders compares nothing")

    def kind_of(self, component: str) -> TextKind:
        """How the texts of a component are compared."""
        return CODE if component in self.code_components else PROSE

"""Small invented benchmarks and hosts; every question here was written for these tests."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.records import BENCHMARK_ITEM, batch_of

ORCHARD = (
    "Mirela's orchard has 14 rows of pear trees with 23 trees in each row. A storm breaks 37 of the "
    "trees, and she plants 9 new ones in the spring. How many pear trees stand in the orchard after the "
    "spring planting?"
)
TANK = (
    "A cylindrical rain tank with radius $3$ metres is filled at $\\frac{5}{2}$ cubic metres per hour. "
    "How many hours, to the nearest whole number, does it take until the water is $4$ metres deep?"
)
LIBRARY = (
    "The village library lends 120 books on Monday and three times as many on Tuesday. Half of "
    "Tuesday's books are returned on Wednesday. How many lent books are still out on Wednesday evening?"
)
SHORT = "Compute $\\binom{17}{4} - 238$."
TRIVIAL = "What is 3 + 4?"
BERNOULLI = (
    "Show that for any real number $x > -1$ and any natural number $n$ the inequality $(1+x)^n \\geq 1+nx$ holds."
)
ORDER = "Which of the following is true?"


def row(benchmark: str, number: int, question: str, answer: str = "", solution: str = "", options: str = "") -> dict:
    return {
        "benchmark": benchmark, "question_index": number, "question": question,
        "answer": answer, "solution": solution, "options": options,
    }  # fmt: skip


ROWS = [
    row(
        "village",
        0,
        ORCHARD,
        "294",
        "There are 14 times 23, that is 322 trees. After the storm 285, then 294.",
    ),
    row("village", 1, TANK, "45", "The volume is 36 pi, about 113.1, divided by 2.5."),
    row("village", 2, LIBRARY, "300"),
    row("village", 3, SHORT, "2142"),
    row("village", 4, TRIVIAL, "7"),
    row("school", 0, BERNOULLI, "", "Induction on n."),
    row("school", 1, ORDER, "B"),
    row("school", 2, "?"),
    row("school", 3, LIBRARY, "300"),
]


def batches(rows: list[dict], size: int = 4) -> list[pa.RecordBatch]:
    return [batch_of(rows[k : k + size], BENCHMARK_ITEM) for k in range(0, len(rows), size)]


def documents(texts: list[str], size: int = 100) -> list[pa.RecordBatch]:
    return [
        pa.RecordBatch.from_pydict(
            {
                "doc_id": [str(j) for j in range(k, min(k + size, len(texts)))],
                "text": pa.array(texts[k : k + size], pa.large_string()),
            }
        )
        for k in range(0, len(texts), size)
    ]


def host(n_paragraphs: int = 6) -> str:
    """Prose about lighthouses: long enough that a Jaccard with a question drowns in it."""
    sentences = [
        "The keeper of the northern lighthouse writes down the weather before he lights the lamp.",
        "In winter the supply boat comes when the sea lets it, and brings flour, oil and letters.",
        "Ships pass far out, and see the beam long before the rock itself rises from the water.",
        "When fog comes in, a bell is struck; the sound carries further over cold water than warm.",
        "Nobody counts the steps of the spiral stair alike, since some of them are worn together.",
        "The museum on the mainland keeps the old lens, whose rings throw colours on the wall at noon.",
    ]
    return "\n\n".join(" ".join(sentences[(k + j) % 6] for j in range(4)) for k in range(n_paragraphs))


@pytest.fixture(scope="session")
def index() -> BenchmarkIndex:
    return build_index(batches(ROWS))

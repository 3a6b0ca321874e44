"""The bars of the issue, on the probes, controls and corpora that lie beside the repository."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.decontamination.self_test import SelfTestConfig, contaminated_share, self_test
from mathcode_assets.records import BENCHMARK_ITEM, CONTAMINATED, NEAR, batch_of
from mathcode_assets_tests.decontamination.conftest import documents

pytestmark = pytest.mark.shared_data


def lines(path: Path) -> list[dict]:
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def items(folder: Path) -> Iterator[pa.RecordBatch]:
    def words(value):
        return ", ".join(value) if isinstance(value, list) else value or ""

    for path in sorted(folder.glob("*.jsonl")):
        yield batch_of(
            [
                {
                    "benchmark": path.stem, "question_index": record["idx"], "question": record["question"],
                    "answer": words(record.get("answer")), "solution": words(record.get("solution")),
                    "options": words(record.get("options")),
                }
                for record in lines(path)
            ],
            BENCHMARK_ITEM,
        )  # fmt: skip


@pytest.fixture(scope="module")
def real_index(shared_data) -> BenchmarkIndex:
    return build_index(items(shared_data / "benchmarks"))


def scanned(texts: list[str], index: BenchmarkIndex) -> list[dict]:
    return [row for batch in scan_documents(documents(texts), index) for row in batch.to_pylist()]


def test_probes_are_found_by_kind(shared_data, real_index):
    probes = lines(shared_data / "contamination" / "probes.jsonl")
    right, verdicts, total = Counter(), Counter(), Counter()
    for probe, row in zip(probes, scanned([p["text"] for p in probes], real_index), strict=True):
        named = {(m["benchmark"], m["question_index"]) for m in row["matches"]}
        found = (probe["benchmark"], probe["question_index"]) in named and row["verdict"] == probe["expected"]
        right[probe["kind"]] += found
        total[probe["kind"]] += 1
        verdicts[probe["kind"], row["verdict"]] += 1
    assert sum(right.values()) >= 95
    for kind in ("verbatim", "verbatim_with_solution", "formatting", "split_paragraphs"):
        assert right[kind] == total[kind], kind
    assert right["truncated_70"] >= 0.95 * total["truncated_70"] - 1e-9
    assert verdicts["number_substitution", NEAR] >= 0.9 * total["number_substitution"]
    assert verdicts["number_substitution", CONTAMINATED] <= 1


def test_no_control_is_contaminated(shared_data, real_index):
    controls = lines(shared_data / "contamination" / "controls.jsonl")
    assert all(row["verdict"] != CONTAMINATED for row in scanned([c["text"] for c in controls], real_index))


def test_the_contaminated_sample_is_far_above_the_share_of_a_leaky_shard(shared_data, real_index):
    texts = [r["text"] for r in lines(shared_data / "synthetic" / "education_college.contaminated_sample.jsonl.zst")]
    assert contaminated_share(scan_documents(documents(texts), real_index)) > 0.9


def test_the_public_notebook_with_a_question_of_math_is_found(shared_data, real_index):
    folder = shared_data / "starcoder" / "jupyter-structured-clean-dedup"
    texts = [t for path in sorted(folder.glob("*.parquet")) for t in pq.read_table(path)["content"].to_pylist()]
    found = [row for row in scanned(texts, real_index) if row["verdict"] == CONTAMINATED]
    assert [(row["benchmark"], row["question_index"]) for row in found] == [("math", 1806)]


def test_plants_in_real_pages_are_found(shared_data, real_index):
    pages = pq.read_table(sorted((shared_data / "open_web_math" / "data").glob("*.parquet"))[0])["text"].to_pylist()
    result = self_test(real_index, documents(pages[:200]), SelfTestConfig(seed=99, plants_per_kind=40))
    assert result.passed, result.failures
    assert result.false_positives == 0


# Statements, identities, exercises and tests that anyone may write and that are no benchmark question.
LOOK_ALIKES = [
    "Theorem. Every group of order $p^2$, where $p$ is prime, is abelian.",
    "Let $G$ be a finite group and $H$ a subgroup of $G$. Then the order of $H$ divides the order of $G$.",
    "The sum of the first $n$ odd numbers is $n^2$.",
    "\\[\\sin^2 x + \\cos^2 x = 1\\]",
    "For all positive real numbers $a, b, c$ we have $a^2+b^2+c^2 \\ge ab+bc+ca$.",
    "A tree is a connected graph with no cycles.",
    "They are $\\binom{4}{0}~\\binom{4}{1}~\\binom{4}{2}~\\binom{4}{3}~\\binom{4}{4}$.",
    "Which of the following statements is true?\n\n(A) The first one. (B) The second one.",
    "Solve for x: 2x + 5 = 13.",
    "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a",
    "def test_solve():\n    assert solve(2*x + 5 - 13, x) == [4]\n    assert factor(x**2 - 5*x + 6) == 0",
    "assert simplify(sin(x)**2 + cos(x)**2) == 1\nassert sqrt(2)*sqrt(3) == sqrt(6)",
]


def test_look_alikes_are_not_contaminated(real_index):
    pages = [f"Some prose before it.\n\n{text}\n\nSome prose after it." for text in LOOK_ALIKES]
    assert [row["verdict"] for row in scanned(pages, real_index) if row["verdict"] == CONTAMINATED] == []


def _other_number(rng: random.Random):
    return lambda match: str(int(match.group()) + rng.randint(10, 19))


def test_a_generator_of_the_same_templates_does_not_contaminate(real_index):
    rng = random.Random(7)
    questions = rng.sample(real_index.items["question"].to_pylist(), 600)
    pages = []
    for question in questions:
        other = re.sub(r"(?<![.\d])\d(?![.\d])", _other_number(rng), question)
        pages += [f"Before it.\n\n{other}\n\nAfter it."] if other != question else []
    assert len(pages) > 200
    assert sum(row["verdict"] == CONTAMINATED for row in scanned(pages, real_index)) <= 0.01 * len(pages)

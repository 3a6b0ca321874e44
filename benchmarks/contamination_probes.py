"""Benchmark questions planted in real documents, in nine disguises: how many the scan finds, and what else it finds.

    python benchmarks/contamination_probes.py --documents DIR_OR_FILES --benchmarks DIR [--half report] [--misses 10]

Plants 250 questions of each kind, in turn from every benchmark, into clean documents, without a lead-in. Thresholds
were tuned on the half called `tune`; `report` is the other one. A plant counts where the planted item is among the
matches of its document and the document has the verdict expected. Controls must not be contaminated: statements of
theorems, the questions' own templates with every number changed (alone, and twenty in a row, as a generator writes
them), and test files of computer algebra systems.
"""

from __future__ import annotations

import argparse
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.decontamination import document_batches, items_of
from mathcode_assets.decontamination.config import DecontaminationConfig
from mathcode_assets.decontamination.index import BenchmarkIndex, build_index
from mathcode_assets.decontamination.planting import EXPECTED, KINDS, SHORT, Item, plant
from mathcode_assets.decontamination.scan import scan_documents
from mathcode_assets.records import CLEAN, CONTAMINATED, NEAR

SEED = 20240921
PER_KIND = 250
MIN_TOKENS = 18  # of what is no short question
SHORT_IN_PROSE = "short_in_prose"
HOST_CHARACTERS = (1500, 20_000)
_THEOREM = re.compile(r"(?m)^[#*\s>]*(?:Theorem|Lemma|Proposition|Corollary|Definition)\b.{60,1200}$")
_TEST = re.compile(r"(?m)^def test_\w+\(.*\):")
_ALGEBRA = re.compile(r"\b(?:sympy|sage|symengine)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A document to scan, and what should be found in it; `item` is -1 for a control."""

    kind: str
    half: str
    item: int
    text: str


def main() -> None:
    """Plant, scan, print."""
    arguments = _arguments()
    config = DecontaminationConfig()
    index = build_index(items_of(arguments.benchmarks), config)
    documents = [text for batch in document_batches(arguments.documents) for text in batch["text"].to_pylist()]
    hosts = _clean_hosts(documents, index, config, arguments.seed)
    seed = arguments.seed
    probes = [*_plants(index, hosts, config, seed), *_controls(index, hosts, documents, seed)]
    probes = [probe for probe in probes if arguments.half in (probe.half, "both")]
    rows = _scan([probe.text for probe in probes], index, config)
    print(f"{len(documents)} documents, {len(hosts)} of them hosts; {len(index)} questions; half: {arguments.half}\n")
    _print_plants(probes, rows, index)
    _print_controls(probes, rows)
    _print_misses(probes, rows, index, arguments.misses)


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    width = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - width), min(1.0, middle + width)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="Parquet or JSONL files, or folders")
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of NAME.jsonl")
    parser.add_argument("--half", choices=("tune", "report", "both"), default="report")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed is another set that nothing was tuned on")
    parser.add_argument("--misses", type=int, default=0, help="how many misses of each kind to print")
    return parser.parse_args()


def _scan(texts: list[str], index: BenchmarkIndex, config: DecontaminationConfig) -> list[dict]:
    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, len(texts), 200):
            some = texts[first : first + 200]
            yield pa.RecordBatch.from_pydict({"doc_id": [""] * len(some), "text": pa.array(some, pa.large_string())})

    return [row for batch in scan_documents(batches(), index, config) for row in batch.to_pylist()]


def _clean_hosts(documents: list[str], index: BenchmarkIndex, config: DecontaminationConfig, seed: int) -> list[str]:
    rng = random.Random(f"{seed}/hosts")
    fit = [text for text in documents if HOST_CHARACTERS[0] <= len(text) <= HOST_CHARACTERS[1]]
    some = rng.sample(fit, min(len(fit), 3000))
    return [text for text, row in zip(some, _scan(some, index, config), strict=True) if row["verdict"] == CLEAN]


def _plants(index: BenchmarkIndex, hosts: list[str], config: DecontaminationConfig, seed: int) -> Iterator[Probe]:
    lengths = np.diff(index.offsets)
    long_enough = np.flatnonzero(lengths >= MIN_TOKENS)
    short = np.flatnonzero((lengths < config.short_tokens) & (lengths >= config.min_tokens))
    names = index.items["benchmark"].to_pylist()
    for kind in (*KINDS, SHORT_IN_PROSE):
        halves: dict[str, int] = defaultdict(int)  # plants of each benchmark so far
        rng = random.Random(f"{seed}/{kind}")
        make: Callable[[Item, str], str | None] = (
            (lambda item, host, rng=rng: _into_prose(item, host, rng))
            if kind == SHORT_IN_PROSE
            else (lambda item, host, kind=kind, rng=rng: plant(kind, item, host, rng))
        )
        made = 0
        for number in _in_turn(index, short if kind in (SHORT, SHORT_IN_PROSE) else long_enough, rng):
            row = index.items.slice(number, 1).to_pylist()[0]
            item = Item(question=row["question"], answer=row["answer"], solution=row["solution"])
            text = make(item, rng.choice(hosts))
            if text is not None:
                half = "report" if (halves[names[number]] + len(names[number])) % 2 else "tune"
                yield Probe(kind=kind, half=half, item=number, text=text)
                halves[names[number]] += 1
                made += 1
            if made == PER_KIND:
                break


def _in_turn(index: BenchmarkIndex, items: np.ndarray, rng: random.Random) -> Iterator[int]:
    """The items shuffled, one of each benchmark after the other."""
    pools: dict[str, list[int]] = defaultdict(list)
    for item in items.tolist():
        pools[index.items["benchmark"][item].as_py()].append(item)
    for pool in pools.values():
        rng.shuffle(pool)
    while any(pools.values()):
        for pool in pools.values():
            if pool:
                yield pool.pop()


def _into_prose(item: Item, host: str, rng: random.Random) -> str | None:
    """The question between two sentences of a paragraph."""
    borders = [m.end() for m in re.finditer(r"[a-z]{3}\. (?=[A-Z])", host)]
    if not borders:
        return None
    at = rng.choice(borders)
    return f"{host[:at]}{item.question} {host[at:]}"


def _controls(index: BenchmarkIndex, hosts: list[str], documents: list[str], seed: int) -> Iterator[Probe]:
    rng = random.Random(f"{seed}/controls")
    statements = [m.group() for text in documents for m in _THEOREM.finditer(text)]
    tests = [text for text in documents if _TEST.search(text) and _ALGEBRA.search(text)]
    questions = [q for q in index.items["question"].to_pylist() if len(re.findall(r"\d+", q)) >= 2]
    generators = []
    for question in rng.sample(questions, 40):
        generators.append("\n\n".join(_all_renumbered(question, rng) for _ in range(20)))
    for kind, texts in (
        ("theorem statements", rng.sample(statements, min(len(statements), 400))),
        ("templates, every number changed", [_all_renumbered(q, rng) for q in rng.sample(questions, 400)]),
        ("generators, twenty of a template", generators),
        ("computer algebra tests", tests),
    ):
        for number, text in enumerate(texts):
            around = ("", "") if kind == "computer algebra tests" else (rng.choice(hosts), rng.choice(hosts))
            placed = "\n\n".join((around[0], text, around[1]))
            yield Probe(kind=kind, half="report" if number % 2 else "tune", item=-1, text=placed)


def _all_renumbered(question: str, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda m: str(int(m.group()) + rng.randint(3, 97)), question)


def _is_right(probe: Probe, row: dict, index: BenchmarkIndex) -> bool:
    name, number = index.items["benchmark"][probe.item].as_py(), index.items["question_index"][probe.item].as_py()
    found = any((m["benchmark"], m["question_index"]) == (name, number) for m in row["matches"])
    return found and row["verdict"] == EXPECTED.get(probe.kind, CONTAMINATED)


def _print_plants(probes: list[Probe], rows: list[dict], index: BenchmarkIndex) -> None:
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for probe, row in zip(probes, rows, strict=True):
        if probe.item >= 0:
            right[probe.kind, index.items["benchmark"][probe.item].as_py()].append(_is_right(probe, row, index))
    kinds, names = list(dict.fromkeys(k for k, _ in right)), sorted({b for _, b in right})
    print(f"{'':18}" + "".join(f"{kind[:13]:>15}" for kind in kinds))
    for name in names:
        cells = (right.get((kind, name), []) for kind in kinds)
        print(f"{name:18}" + "".join(f"{f'{sum(c)}/{len(c)}' if c else '-':>15}" for c in cells))
    for label, value in (("all", lambda c: f"{sum(c)}/{len(c)}"), ("share", lambda c: f"{sum(c) / len(c):.1%}"),
                         ("95 % interval", lambda c: "{:.1%}-{:.1%}".format(*wilson(sum(c), len(c))))):  # fmt: skip
        all_of = [[ok for name in names for ok in right.get((kind, name), [])] for kind in kinds]
        print(f"{label:18}" + "".join(f"{value(c):>15}" for c in all_of))
    renumbered = [row for probe, row in zip(probes, rows, strict=True) if EXPECTED.get(probe.kind) == NEAR]
    wrong = sum(row["verdict"] == CONTAMINATED for row in renumbered)
    print(f"\nnumber-substituted plants called contaminated: {wrong} of {len(renumbered)}")


def _print_controls(probes: list[Probe], rows: list[dict]) -> None:
    verdicts: dict[str, list[str]] = defaultdict(list)
    for probe, row in zip(probes, rows, strict=True):
        if probe.item < 0:
            verdicts[probe.kind].append(row["verdict"])
    print(f"\n{'controls':36}{'number':>8}{'contaminated':>14}{'near':>7}")
    for kind, found in verdicts.items():
        print(f"{kind:36}{len(found):>8}{found.count(CONTAMINATED):>14}{found.count('near'):>7}")


def _print_misses(probes: list[Probe], rows: list[dict], index: BenchmarkIndex, limit: int) -> None:
    shown: dict[str, int] = defaultdict(int)
    for probe, row in zip(probes, rows, strict=True):
        wrong = row["verdict"] == CONTAMINATED if probe.item < 0 else not _is_right(probe, row, index)
        if wrong and shown[probe.kind] < limit:
            shown[probe.kind] += 1
            item = index.items.slice(probe.item, 1).to_pylist()[0] if probe.item >= 0 else {}
            print(f"\n--- {probe.kind} {item.get('benchmark')} #{item.get('question_index')}: {row['verdict']}")
            print(f"question: {item.get('question', '')[:700]}")
            for match in row["matches"][:2]:
                name = f"{match['benchmark']} #{match['question_index']}"
                print(f"match: {name} {match['verdict']} {match['score']:.2f}: {match['evidence'][:700]}")


if __name__ == "__main__":
    main()

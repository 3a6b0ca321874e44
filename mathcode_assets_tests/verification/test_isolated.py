"""Claims in the sandbox: in order, each with its own verdict, whatever its neighbours do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mathcode_assets.cli import main
from mathcode_assets.records import REFUTED, UNVERIFIABLE, VERIFIED
from mathcode_assets.verification.isolated import Claim, VerificationConfig, Verifier, quick_verdict

EASY = [
    (Claim(gold="5", output="5"), VERIFIED),
    (Claim(gold=r"\frac{1}{3}", output="1/3"), VERIFIED),
    (Claim(gold="x^2", output="x**3"), REFUTED),
    (Claim(gold="42", output="42\n17"), UNVERIFIABLE),
    (Claim(gold="x", output="\ud800"), UNVERIFIABLE),
    (Claim(gold="5", output="5" * 200_000), UNVERIFIABLE),
]
# Every point of the sum costs more than a tenth of a second.
SLOW = Claim(gold="0", output="Sum(sin(k*x)*exp(k)*gamma(k + x)*besselj(k, x), (k, 1, 900))")


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(VerificationConfig(n_workers=1, group_size=4, batch_size=16)) as one:
        yield one


def test_verdicts_come_in_order(verifier: Verifier) -> None:
    claims = EASY * 5
    found = list(verifier.verify(claim for claim, _ in claims))
    assert [one.verdict for one in found] == [verdict for _, verdict in claims]


def test_claims_are_taken_as_needed(verifier: Verifier) -> None:
    taken = []

    def endless() -> Iterator[Claim]:
        while True:
            taken.append(1)
            yield Claim(gold="x", output="x")

    assert next(verifier.verify(endless())).verdict == VERIFIED
    assert len(taken) <= 16


def test_a_claim_that_takes_too_long_costs_its_own_verdict() -> None:
    with Verifier(VerificationConfig(n_workers=1, wall_s=0.25)) as verifier:
        claims = [EASY[1][0], SLOW, EASY[2][0]]
        found = list(verifier.verify(claims))
    assert [one.verdict for one in found] == [VERIFIED, UNVERIFIABLE, REFUTED]
    assert found[1].method == "timeout"


def test_only_plain_numbers_are_compared_in_process() -> None:
    assert quick_verdict(Claim(gold="1,000.5", output="1e3")) is not None
    for text in ("x", "9**9", "1e999", "(1)", "9" * 41, "٤٢"):
        assert quick_verdict(Claim(gold="42", output=text)) is None


def test_the_command_keeps_ids_and_order(tmp_path: Path) -> None:
    rows = [{"id": number, "gold": claim.gold, "output": claim.output} for number, (claim, _) in enumerate(EASY[:4])]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["verify", "--input", str(source), "--output", str(target), "--workers", "1"]) == 0
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["id"], row["verdict"]) for row in found] == [(n, verdict) for n, (_, verdict) in enumerate(EASY[:4])]
    assert all(row.keys() == {"id", "verdict", "method", "evidence"} for row in found)

"""The order of training: a bijection for any number and seed, from (fingerprint, seed, step) alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.tokenization.sequences import SequenceOrder


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 3_000), seed=st.integers(0, 2**63), epoch=st.integers(0, 5))
def test_an_epoch_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    order = SequenceOrder("f00d", seed, n, 1)
    assert sorted(order.permuted(np.arange(n, dtype=np.uint64), epoch).tolist()) == list(range(n))


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 300), batch=st.integers(1, 64), epochs=st.integers(1, 4))
def test_batches_give_every_sequence_once_an_epoch(n: int, batch: int, epochs: int) -> None:
    order = SequenceOrder("f00d", 3407, n, batch)
    steps = order.n_steps(epochs)
    seen = [index for step in range(steps) for index in order.indices(step).tolist()]
    assert len(seen) == steps * batch <= epochs * n < len(seen) + batch
    for epoch in range(len(seen) // n):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_resuming_needs_nothing_but_the_step() -> None:
    straight = [SequenceOrder("f00d", 1, 1000, 7).indices(step).tolist() for step in range(400)]
    order = SequenceOrder("f00d", 1, 1000, 7)
    assert [order.indices(step).tolist() for step in range(250, 400)] == straight[250:]
    # Two ranks or four: the same global batch.
    by_two, by_four = (
        sorted(index for rank in range(ranks) for index in order.indices(9)[rank::ranks].tolist()) for ranks in (2, 4)
    )
    assert by_two == by_four == sorted(straight[9])


def test_batches_of_another_size_go_through_the_same_order() -> None:
    small = SequenceOrder("f00d", 1, 1000, 8)
    large = SequenceOrder("f00d", 1, 1000, 32)
    assert np.concatenate([small.indices(step) for step in range(4, 8)]).tolist() == large.indices(1).tolist()


def test_epochs_seeds_and_corpora_give_other_orders() -> None:
    orders = [
        SequenceOrder("f00d", 1, 1000, 1000).indices(0).tolist(),
        SequenceOrder("f00d", 1, 1000, 1000).indices(1).tolist(),
        SequenceOrder("f00d", 2, 1000, 1000).indices(0).tolist(),
        SequenceOrder("beef", 1, 1000, 1000).indices(0).tolist(),
    ]
    assert len({tuple(order) for order in orders}) == 4
    for one in orders:
        kept = sum(a == b for a, b in zip(one, range(1000), strict=True))
        assert kept < 10  # one is expected of a random permutation


def test_the_order_is_pinned() -> None:
    """A run that was started before resumes in the same order: these never change."""
    assert SequenceOrder("f00d", 3407, 10, 10).indices(0).tolist() == [1, 9, 2, 3, 6, 8, 4, 0, 7, 5]
    late = SequenceOrder("f00d", 3407, 10**9, 4).indices(10**12)
    assert late.tolist() == [742009984, 897483064, 168923965, 364602840]


def test_a_thousand_million_sequences_take_no_memory() -> None:
    order = SequenceOrder("f00d", 3407, 10**9 + 7, 4096)
    found = np.concatenate([order.indices(step) for step in range(50)])
    assert len(set(found.tolist())) == len(found)
    assert found.min() >= 0 and found.max() < 10**9 + 7
    # Spread evenly: a tenth of the range holds about a tenth of them.
    shares = np.histogram(found, bins=10, range=(0, 10**9 + 7))[0] / len(found)
    assert abs(shares - 0.1).max() < 0.01


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_small_orders_are_not_lopsided(n: int) -> None:
    """Each sequence comes first about equally often."""
    firsts = np.bincount([SequenceOrder("f00d", seed, n, 1).indices(0)[0] for seed in range(4000)], minlength=n)
    assert abs(firsts / 4000 - 1 / n).max() < 0.04


def test_bad_numbers_are_refused() -> None:
    for n, batch in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="sequences in batches"):
            SequenceOrder("f", 1, n, batch)
    with pytest.raises(ValueError, match="step -1"):
        SequenceOrder("f", 1, 1, 1).indices(-1)


def test_workers_import_it_without_arrow_or_torch() -> None:
    code = "import sys, mathcode_assets.tokenization.sequences; print({'torch', 'pyarrow', 'dagster'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

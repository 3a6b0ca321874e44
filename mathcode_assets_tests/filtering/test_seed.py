import random

from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.filtering.seed import Example, balanced, labelled_examples, sample_texts, unit_hash
from mathcode_assets_tests.documents import document_batches, label_batches

TEXTS = [f"page {number}" for number in range(400)]


def _sample(batches: list, *, rate: float, floor: int, seed: int = 0) -> set[str]:
    return set(sample_texts(batches, rate=rate, floor=floor, seed=seed, max_chars=100))


def test_a_sample_does_not_depend_on_batches_or_order() -> None:
    batches = document_batches(TEXTS, rows=7)
    shuffled = random.Random(1).sample(batches, len(batches))
    assert _sample(batches, rate=0.1, floor=60) == _sample(shuffled, rate=0.1, floor=60)


def test_the_floor_tops_up_a_small_share() -> None:
    batches = document_batches(TEXTS)
    assert len(_sample(batches, rate=0.02, floor=50)) == 50
    assert len(_sample(batches, rate=0.02, floor=5_000)) == len(TEXTS)
    assert 20 <= len(_sample(batches, rate=0.1, floor=0)) <= 60


def test_a_larger_sample_holds_the_smaller_one_and_another_seed_is_another_sample() -> None:
    batches = document_batches(TEXTS)
    small, large = _sample(batches, rate=0.05, floor=10), _sample(batches, rate=0.05, floor=100)
    assert small < large
    assert large != _sample(batches, rate=0.05, floor=100, seed=9)


def test_sampled_texts_are_cut() -> None:
    batches = document_batches(["x" * 500])
    assert list(sample_texts(batches, rate=0.0, floor=1, seed=0, max_chars=10)) == ["x" * 10]


@given(st.text(), st.integers())
def test_unit_hash_is_in_range(key: str, seed: int) -> None:
    assert 0 <= unit_hash(key, seed=seed) < 1


def test_balanced_takes_as_many_of_each_label_as_the_rarest_has() -> None:
    examples = [Example(f"m{n}", "math") for n in range(30)] + [Example(f"o{n}", "other") for n in range(8)]
    chosen = balanced(examples, per_label=100, max_ratio=1.0, seed=0)
    assert [example.label for example in chosen] == ["math"] * 8 + ["other"] * 8
    assert chosen == balanced(reversed(examples), per_label=100, max_ratio=1.0, seed=0)
    assert len(balanced(examples, per_label=5, max_ratio=2.0, seed=0)) == 10
    assert balanced([], per_label=5, max_ratio=1.0, seed=0) == []


def test_labels_are_joined_on_source_id_and_keep_their_split() -> None:
    documents = document_batches(["one", "two", "three"], rows=2)
    labels = label_batches(["math", "other"], split="test")
    found = list(labelled_examples(documents, labels, max_chars=2))
    assert found == [Example("on", "math", "test"), Example("tw", "other", "test")]

"""A stream through a service that answers in order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.mathematical_code.lockstep import LONGEST_SILENCE, in_background, in_step


def _question(number: int) -> int | None:
    return None if number % 3 else number


def _doubling(ahead: int):
    """A service that draws `ahead` questions before it answers the first."""

    def answered(questions: Iterable[int]) -> Iterator[int]:
        source = iter(questions)
        held = list(itertools.islice(source, ahead))
        while held:
            yield 2 * held.pop(0)
            held += itertools.islice(source, 1)

    return answered


@given(st.lists(st.integers(-5, 100), max_size=60), st.integers(1, 20))
@settings(deadline=None)
def test_items_keep_their_order_and_get_their_own_answers(numbers: list[int], ahead: int) -> None:
    found = list(in_step(numbers, _question, _doubling(ahead), idle=0))
    assert found == [(number, None if number % 3 else 2 * number) for number in numbers]


def test_long_silence_does_not_fill_memory() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for _ in range(100 * LONGEST_SILENCE):
            drawn += 1
            yield 1

    found = in_step(items(), _question, _doubling(1), idle=0)
    assert next(found) == (1, None)
    assert drawn <= 2 * LONGEST_SILENCE
    assert sum(1 for _ in found) == 100 * LONGEST_SILENCE - 1


@pytest.mark.parametrize(("answers", "problem"), [([], "fewer"), ([1, 2, 3], "more")])
def test_service_that_loses_or_invents_an_answer_is_an_error(answers: list[int], problem: str) -> None:
    def answered(questions: Iterable[int]) -> Iterator[int]:
        list(questions)
        yield from answers

    with pytest.raises(ValueError, match=problem):
        list(in_step([3, 6], _question, answered, idle=0))


def test_background_gives_the_same_items_and_passes_errors_on() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise KeyError("six")

    assert list(in_background(range(1_000), size=3)) == list(range(1_000))
    found = []
    with pytest.raises(KeyError, match="six"):
        found.extend(in_background(broken(), size=2))
    items = in_background(broken(), size=2)
    assert [next(items) for _ in range(5)] == list(range(5))


def test_background_stays_within_its_size_and_ends_with_its_reader() -> None:
    before = threading.active_count()
    made = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    reader = in_background(items(), size=4)
    assert [next(reader) for _ in range(3)] == [0, 1, 2]
    reader.close()
    assert len(made) <= 3 + 4 + 1
    assert threading.active_count() == before

"""Send some items of a stream through a service that answers in order, and keep all of them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")
_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")

# Items in a row without a question before an idle question is asked. Each waits in memory until then.
LONGEST_SILENCE = 256


class OutOfStep(ValueError):
    """Two tables that should be in the same order of documents are not."""


def in_step(
    items: Iterable[_Item],
    question_of: Callable[[_Item], _Question | None],
    answered: Callable[[Iterable[_Question]], Iterator[_Answer]],
    *,
    idle: _Question,
) -> Iterator[tuple[_Item, _Answer | None]]:
    """Every item with the answer to its question, in the order of the items; None where it has no question.

    The service draws questions as it likes, ahead of its answers, so its workers stay busy while what it
    answered is used. Memory holds the items between the last answer given out and the last question drawn:
    `idle` is asked after `LONGEST_SILENCE` items without a question, so that a long run of them, which the
    service would draw in one go, cannot fill it.

    Raises:
        ValueError: the service gave fewer or more answers than it drew questions.
    """
    waiting: deque[tuple[bool, _Item | None]] = deque()  # whether an answer belongs to it

    def questions() -> Iterator[_Question]:
        silence = 0
        for item in items:
            question = question_of(item)
            waiting.append((question is not None, item))
            silence = silence + 1 if question is None else 0
            if question is not None:
                yield question
            elif silence == LONGEST_SILENCE:
                silence = 0
                waiting.append((True, None))
                yield idle

    for answer in answered(questions()):
        while waiting and not waiting[0][0]:
            yield waiting.popleft()[1], None  # pyrefly: ignore[bad-yield]
        if not waiting:
            raise ValueError("more answers than questions")
        item = waiting.popleft()[1]
        if item is not None:
            yield item, answer
    while waiting:
        has_question, item = waiting.popleft()
        if has_question:
            raise ValueError("fewer answers than questions")
        yield item, None  # pyrefly: ignore[bad-yield]

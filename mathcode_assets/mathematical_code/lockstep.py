"""Streams in step: some items through a service that answers in order, a stream drawn ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")

# Items in a row without a question before an idle question is asked. Each waits in memory until then.
LONGEST_SILENCE = 256

# Seconds after which a thread looks whether anybody still wants what it makes.
_PATIENCE_S = 0.1


class OutOfStep(ValueError):
    """Two tables that should be in the same order of documents are not."""


def in_step(
    items: Iterable[_Item],
    question_of: Callable[[_Item], _Question | None],
    answered: Callable[[Iterable[_Question]], Iterator[_Answer]],
    *,
    idle: _Question | None,
) -> Iterator[tuple[_Item, _Answer | None]]:
    """Every item with the answer to its question, in the order of the items; None where it has no question.

    The service draws questions as it likes, ahead of its answers, so its workers stay busy while what it
    answered is used. Memory holds the items between the last answer given out and the last question drawn:
    `idle` is asked after `LONGEST_SILENCE` items without a question (unless it is None), so that a long run of
    them, which the service would draw in one go, cannot fill it.

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
            elif silence == LONGEST_SILENCE and idle is not None:
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


def in_background(items: Iterable[_Item], *, size: int) -> Iterator[_Item]:
    """The same items, made in a thread of their own while earlier ones are used, at most `size` ahead.

    An exception in the making is raised here, after the items before it. When this iterator is closed or
    dropped the thread ends with the item it is at.
    """
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(maxsize=size)
    is_over = threading.Event()

    def put(entry: tuple[bool, Any]) -> bool:
        while not is_over.is_set():
            try:
                made.put(entry, timeout=_PATIENCE_S)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:  # whatever it is, it belongs to the one who draws
            put((False, error))

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            is_item, entry = made.get()
            if is_item:
                yield entry
            elif entry is None:
                return
            else:
                raise entry
    finally:
        is_over.set()
        thread.join()

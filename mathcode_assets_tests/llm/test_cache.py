"""Each test attacks one promise of the request cache."""

import dataclasses
import multiprocessing
import os
import random
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mathcode_assets.llm.cache import Cached, RequestCache
from mathcode_assets.llm.generator import FAILED, Completion, Message, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.replay import Replay
from mathcode_assets.llm.segments import list_segments
from mathcode_assets_tests.llm.test_generator import REQUEST


def ask(question: str) -> Request:
    return dataclasses.replace(REQUEST, messages=(Message(role="user", content=question),))


class Echo:
    """Answers with the question; a word in it says what goes wrong. Reads `window` requests ahead."""

    def __init__(self, window: int = 1) -> None:
        self.window = window
        self.asked: list[str] = []

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        waiting: list[Completion] = []
        for request in requests:
            waiting.append(self._answer(request))
            if len(waiting) >= self.window:
                yield from waiting
                waiting = []
        yield from waiting

    def _answer(self, request: Request) -> Completion:
        question = request.messages[-1].content
        self.asked.append(question)
        if "bad" in question:
            return Completion(key=request.key, status=FAILED, error="400", attempts=1)
        if "busy" in question:
            return Completion(key=request.key, status=FAILED, error="503", is_transient=True, attempts=1)
        text = f"re: {question}"
        return Completion(key=request.key, text=text, prompt_tokens=3, completion_tokens=2, attempts=1)


def run(folder: Path, questions: Iterable[str], generator: Echo, **options: int) -> tuple[list[Completion], Meter]:
    with RequestCache(folder, **options) as cache:
        meter = Meter(cache=cache)
        return list(Cached(generator, meter).generate(ask(question) for question in questions)), meter


def test_an_answered_request_is_never_sent_again(tmp_path: Path) -> None:
    first, second = Echo(), Echo()
    answers, meter = run(tmp_path, ["a", "bad b", "c"], first)
    again, meter_again = run(tmp_path, ["c", "new", "a", "bad b"], second)
    assert second.asked == ["new"]
    assert [answer.text for answer in again] == ["re: c", "re: new", "re: a", ""]
    assert [answer.is_cached for answer in again] == [True, False, True, True]
    assert not again[3].is_transient and again[3].error == "400"
    assert again[0] == dataclasses.replace(answers[2], is_cached=True, attempts=0)
    assert (meter.run.answered, meter.run.failed, meter.run.attempts) == (2, 1, 3)
    assert (meter_again.run.cached, meter_again.run.answered, meter_again.run.attempts) == (3, 1, 1)
    assert (meter_again.total.answered, meter_again.total.attempts, meter_again.total.prompt_tokens) == (3, 4, 9)


@pytest.mark.parametrize("window", [1, 3, 64])
@pytest.mark.parametrize("n_known", [0, 1, 9, 20])
def test_hits_and_misses_keep_the_order_of_the_requests(window: int, n_known: int, tmp_path: Path) -> None:
    rng = random.Random(f"{window} {n_known}")
    questions = [str(rng.randrange(20)) for _ in range(50)]
    run(tmp_path, rng.sample([str(number) for number in range(20)], n_known), Echo())
    echo = Echo(window)
    answers, meter = run(tmp_path, questions, echo)
    assert [answer.text for answer in answers] == [f"re: {question}" for question in questions]
    assert len(echo.asked) == len(set(echo.asked)), "a request asked twice in one stream is sent once"
    assert meter.run.cached + meter.run.answered == meter.run.requests == 50


def test_a_long_row_of_hits_between_two_misses_is_not_read_ahead_of_the_first(tmp_path: Path) -> None:
    run(tmp_path, [str(number) for number in range(5_000)], Echo(window=64))
    questions = ["new", *(str(number) for number in range(5_000)), "newer"]
    n_read = 0

    def asked() -> Iterator[Request]:
        nonlocal n_read
        for question in questions:
            n_read += 1
            yield ask(question)

    echo = Echo(window=64)  # waits for 64 misses, and would read everything to find them
    with RequestCache(tmp_path) as cache:
        for number, answer in enumerate(Cached(echo, Meter(cache=cache)).generate(asked())):
            assert answer.text == f"re: {questions[number]}"
            assert n_read - number <= 2_001
    assert echo.asked == ["new", "newer"]


def test_a_failure_that_may_pass_is_tried_again_until_its_attempts_are_used_up(tmp_path: Path) -> None:
    for attempt in range(1, 4):
        echo = Echo()
        ((answer,), meter) = run(tmp_path, ["busy"], echo, max_attempts=3)
        assert len(echo.asked) == 1 and answer.status == FAILED
        assert answer.is_transient, attempt
        with RequestCache(tmp_path) as cache:  # Echo reports no attempts one by one, so they are reported here
            meter = Meter(cache=cache)
            number = meter.begin(ask("busy"))
            assert number is not None
            meter.lost(number, "broken")
    echo = Echo()
    (answer,), meter = run(tmp_path, ["busy"], echo, max_attempts=3)
    assert not echo.asked
    assert not answer.is_transient and answer.error == "quarantined after 3 attempts: broken"
    assert meter.run.failed == 1
    run(tmp_path, ["busy"], echo, max_attempts=4)
    assert echo.asked == ["busy"], "a higher bound gives it another chance"


def test_an_attempt_that_never_ended_is_of_unknown_billing_after_a_restart(tmp_path: Path) -> None:
    with RequestCache(tmp_path) as cache:
        meter = Meter(cache=cache)
        unsent, refused, lost, _cut_off = (meter.begin(ask(name)) for name in "abcd")
        assert unsent and refused and lost
        meter.unsent(unsent, "no connection")
        meter.refused(refused, "429")
        meter.lost(lost, "half an answer")
    with RequestCache(tmp_path) as cache:
        usage = cache.ledger.usage
        assert (usage.attempts, usage.attempts_unknown, usage.answered) == (3, 2, 0)
        assert usage.completion_tokens_unknown == 2 * REQUEST.parameters.max_tokens
        assert [cache.ledger.attempts(ask(name).key) for name in "abcd"] == [0, 1, 1, 1]


@pytest.mark.parametrize("seed", range(4))
def test_a_store_cut_at_any_byte_loses_only_what_was_behind_the_cut(seed: int, tmp_path: Path) -> None:
    questions = [f"{number} \u2028 {'x' * (number % 7)}" for number in range(12)]
    run(tmp_path / "whole", questions, Echo())
    (segment,) = list_segments(tmp_path / "whole")
    whole = segment.read_bytes()
    cuts = random.Random(seed).sample(range(len(whole)), 40)
    for cut in cuts:
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / segment.name).write_bytes(whole[:cut])
        n_whole_lines = whole[:cut].count(b"\n")
        echo = Echo()
        answers, _ = run(folder, questions, echo)
        assert [answer.text for answer in answers] == [f"re: {question}" for question in questions]
        assert echo.asked == questions[n_whole_lines:]
        again = Echo()
        run(folder, questions, again)
        assert not again.asked


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_record_costs_itself_only(seed: int, tmp_path: Path) -> None:
    questions = [str(number) for number in range(10)]
    run(tmp_path / "whole", questions, Echo())
    (segment,) = list_segments(tmp_path / "whole")
    rng = random.Random(seed)
    for trial in range(30):
        data = bytearray(segment.read_bytes())
        place = rng.randrange(len(data) - 1)
        data[place] ^= 1 << rng.randrange(8)
        folder = tmp_path / str(trial)
        folder.mkdir()
        (folder / segment.name).write_bytes(data)
        echo = Echo()
        answers, _ = run(folder, questions, echo)
        assert [answer.text for answer in answers] == [f"re: {question}" for question in questions]
        assert 1 <= len(echo.asked) <= 2  # two where a newline was hit


def _answer_until_killed(folder: str, n_questions: int, kill_after: int) -> None:
    with RequestCache(Path(folder)) as cache:
        answers = Cached(Echo(window=8), Meter(cache=cache)).generate(ask(str(n)) for n in range(n_questions))
        for number, _ in enumerate(answers, start=1):
            if number == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("kill_after", [1, 65, 150])
def test_a_killed_process_sends_nothing_again_that_it_answered(kill_after: int, tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_answer_until_killed, args=(str(tmp_path), 200, kill_after)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    echo = Echo()
    answers, _ = run(tmp_path, [str(n) for n in range(200)], echo)
    assert [answer.text for answer in answers] == [f"re: {n}" for n in range(200)]
    assert len(echo.asked) <= 200 - kill_after
    assert echo.asked == [str(n) for n in range(200 - len(echo.asked), 200)]


def _answer(folder: str, start: int, stop: int) -> None:
    run(Path(folder), [str(n) for n in range(start, stop)], Echo(window=4))


def test_two_processes_write_into_one_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_answer, args=(str(tmp_path), start, stop)) for start, stop in [(0, 150), (100, 250)]
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    echo = Echo()
    answers, meter = run(tmp_path, [str(n) for n in range(250)], echo)
    assert not echo.asked and [answer.text for answer in answers] == [f"re: {n}" for n in range(250)]
    assert len(list_segments(tmp_path)) == 2
    assert 250 <= meter.total.answered <= 300, "those that both asked were paid twice"


def test_another_writers_answers_are_found_without_opening_again(tmp_path: Path) -> None:
    with RequestCache(tmp_path) as mine, RequestCache(tmp_path) as other:
        Meter(cache=other).finish(Completion(key=ask("a").key, text="theirs"))
        assert ask("a").key not in mine
        mine.refresh()
        answer = mine.get(ask("a").key)
        assert answer is not None and answer.text == "theirs"
        Meter(cache=mine).finish(Completion(key=ask("a").key, text="mine"))
        first = mine.get(ask("a").key)
        assert first is not None and first.text == "theirs", "the first answer stays"


def test_answers_can_be_replayed_without_a_backend(tmp_path: Path) -> None:
    run(tmp_path, ["a", "b"], Echo())
    with RequestCache(tmp_path) as cache:
        a, missing = Cached(Replay({}), Meter(cache=cache)).generate([ask("a"), ask("c")])
        assert a.text == "re: a" and missing.is_transient
        assert [answer.text for answer in cache.completions()] == ["re: a", "re: b"]
    assert len(list_segments(tmp_path)) == 1, "reading writes nothing"


class _Nothing:
    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        next(iter(requests))
        return iter(())


def test_a_generator_that_swallows_a_request_is_found_out(tmp_path: Path) -> None:
    with RequestCache(tmp_path) as cache, pytest.raises(RuntimeError, match="fewer completions"):
        list(Cached(_Nothing(), Meter(cache=cache)).generate([ask("a")]))


def test_a_lone_surrogate_in_an_answer_does_no_harm(tmp_path: Path) -> None:
    with RequestCache(tmp_path) as cache:
        Meter(cache=cache).finish(Completion(key=REQUEST.key, text="x \ud800 \u2028 \0 y"))
        answer = cache.get(REQUEST.key)
        assert answer is not None and answer.text == "x ? \u2028 \0 y"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Trivial:
    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            yield Completion(key=request.key, text=request.messages[-1].content)


@pytest.mark.parametrize("n_known", [0, 20_000])
def test_memory_stays_flat_over_a_long_stream(n_known: int, tmp_path: Path) -> None:
    n_read = 0

    def asked() -> Iterator[Request]:
        nonlocal n_read
        for n_read in range(1, 20_001):
            yield ask(f"{n_read} " + "x" * 4000)

    with RequestCache(tmp_path) as cache:
        meter = Meter(cache=cache)
        for number in range(1, n_known + 1):
            meter.finish(Completion(key=ask(f"{number} " + "x" * 4000).key))
        before = _resident_bytes()
        for number, _ in enumerate(Cached(_Trivial(), meter).generate(asked()), start=1):
            assert n_read - number <= 64
        assert number == 20_000
    # 80 MB of questions and as much of answers went through; the index takes some 4 MB.
    assert _resident_bytes() - before < 30_000_000

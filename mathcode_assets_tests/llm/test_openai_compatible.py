import dataclasses
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mathcode_assets.llm.budget import Budget, BudgetExhausted
from mathcode_assets.llm.cache import Cached, RequestCache
from mathcode_assets.llm.generator import Completion, Message, Parameters, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.openai_compatible import OpenAICompatible, ServerConfig
from mathcode_assets_tests.llm.test_generator import REQUEST


class _Server(ThreadingHTTPServer):
    """Answers each question by its script: a list of statuses, one for each time it is asked."""

    daemon_threads = True
    request_queue_size = 128  # of connections not accepted yet: the default of 5 resets some of 64

    def __init__(self, scripts: dict[str, list[int]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts = scripts
        self.bodies: list[dict] = []
        self.lock = threading.Lock()
        self.n_open = self.most_open = 0
        self.follows_schemas = self.is_uneven = False
        self.code: str | None = None


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.n_open += 1
            self.server.most_open = max(self.server.most_open, self.server.n_open)
            script = self.server.scripts.get(question, [])
            status = script.pop(0) if script else 200
        delay = random.Random(question).uniform(0, 0.04) if self.server.is_uneven else 0.02
        threading.Event().wait(delay)  # so that requests in flight overlap
        with self.server.lock:
            self.server.n_open -= 1
        text = f"re: {question}"
        if "response_format" in body and self.server.follows_schemas:
            (name, kind), *_ = body["response_format"]["json_schema"]["schema"]["properties"].items()
            text = json.dumps({name: kind["enum"][0]})
        key = self.headers["Authorization"]
        message = f"status {status} for {key}"
        self._send(
            status, _answer(text) if status == 200 else {"error": {"message": message, "code": self.server.code}}
        )

    def _send(self, status: int, answer: object) -> None:
        payload = json.dumps(answer).encode() if answer is not None else b"not json"
        self.send_response(200 if status == 299 else status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Keep test output clean."""


def _answer(text: str) -> dict:
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def _ask(question: str) -> Request:
    return dataclasses.replace(REQUEST, messages=(Message(role="user", content=question),))


@contextmanager
def _serving(scripts: dict[str, list[int]]) -> Iterator[_Server]:
    server = _Server(scripts)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _config(server: _Server, **changes: object) -> ServerConfig:
    config = ServerConfig(
        base_url=f"http://127.0.0.1:{server.server_port}/v1",
        concurrency=8,
        attempts=3,
        first_delay_s=0.01,
        timeout_s=20,
    )
    return dataclasses.replace(config, **changes)


def _generate(server: _Server, requests: list[Request], **changes: object) -> list[Completion]:
    return list(OpenAICompatible(_config(server, **changes)).generate(requests))


def test_a_server_error_is_retried_and_answers_keep_their_order() -> None:
    with _serving({"b": [500], "c": [429, 503]}) as server:
        answers = _generate(server, [_ask(question) for question in "abcd"])
        assert [answer.text for answer in answers] == ["re: a", "re: b", "re: c", "re: d"]
        assert [answer.key for answer in answers] == [_ask(question).key for question in "abcd"]
        assert answers[0].prompt_tokens == 7 and answers[0].finish_reason == "stop"
        assert len(server.bodies) == 4 + 1 + 2


def test_a_permanent_error_is_a_failed_row_asked_once() -> None:
    with _serving({"bad": [400, 400]}) as server:
        good, bad = _generate(server, [_ask("good"), _ask("bad")])
        assert good.is_ok
        assert not bad.is_ok and not bad.is_transient and "400" in bad.error and "status 400" in bad.error
        assert len(server.bodies) == 2


def test_a_server_that_stays_down_is_a_transient_failure_after_the_last_attempt() -> None:
    with _serving({"x": [500] * 9}) as server:
        (answer,) = _generate(server, [_ask("x")])
        assert not answer.is_ok and answer.is_transient
        assert len(server.bodies) == 3


def test_nobody_listening_is_a_transient_failure() -> None:
    with _serving({}) as server:
        pass
    (answer,) = _generate(server, [_ask("x")])
    assert not answer.is_ok and answer.is_transient


def test_concurrency_is_bounded_and_every_parameter_is_sent() -> None:
    with _serving({}) as server:
        answers = _generate(server, [_ask(str(number)) for number in range(12)], concurrency=3)
        assert all(answer.is_ok for answer in answers)
        assert server.most_open <= 3
        body = server.bodies[0]
        assert body["temperature"] == 0.0 and body["max_tokens"] == 1024 and body["model"] == "m"


def test_a_response_that_is_no_completion_is_asked_again_and_of_unknown_billing() -> None:
    with _serving({"x": [299], "y": [299] * 9}) as server:
        x, y = _generate(server, [_ask("x"), _ask("y")])
        assert x.is_ok and (x.attempts, x.attempts_unknown) == (2, 1)
        assert not y.is_ok and y.is_transient and (y.attempts, y.attempts_unknown) == (3, 3)
        assert "unusable response" in y.error


@pytest.mark.parametrize("concurrency", [3, 64])
def test_answers_keep_the_order_of_the_requests_whatever_order_they_come_in(concurrency: int) -> None:
    with _serving({}) as server:
        server.is_uneven = True
        for _ in range(2):
            answers = _generate(server, [_ask(str(number)) for number in range(150)], concurrency=concurrency)
            assert [answer.text for answer in answers] == [f"re: {number}" for number in range(150)]


def test_no_more_is_read_or_sent_than_the_window_while_nobody_takes_answers() -> None:
    with _serving({}) as server:
        n_read = 0

        def asked() -> Iterator[Request]:
            nonlocal n_read
            for n_read in range(1, 10_001):
                yield _ask(str(n_read))

        answers = OpenAICompatible(_config(server, concurrency=2, read_ahead=3)).generate(asked())
        for number in range(1, 20):
            next(answers)
            assert n_read <= number + 6
        threading.Event().wait(0.3)
        assert len(server.bodies) <= 19 + 6
        answers.close()  # type: ignore[attr-defined]
        n_sent = len(server.bodies)
        threading.Event().wait(0.1)
        assert len(server.bodies) == n_sent
    assert not [thread for thread in threading.enumerate() if thread.name == "generator"]


def test_nothing_is_opened_for_no_requests() -> None:
    assert list(OpenAICompatible(ServerConfig(base_url="http://nowhere.invalid")).generate([])) == []


def test_the_key_is_sent_and_never_shown() -> None:
    with _serving({"x": [400]}) as server:
        config = _config(server, api_key="sk-secret-1234567")
        generator = OpenAICompatible(config)
        (answer,) = generator.generate([_ask("x")])
        assert "Bearer [key]" in answer.error
        assert "secret" not in f"{config} {generator} {answer}"


def test_a_refused_key_condemns_no_record(tmp_path: Path) -> None:
    with _serving({"x": [401]}) as server, RequestCache(tmp_path) as cache:
        meter = Meter(cache=cache)
        generator = Cached(OpenAICompatible(_config(server), meter), meter)
        (answer,) = generator.generate([_ask("x")])
        assert answer.is_transient and len(server.bodies) == 1 and not len(cache)
        (answer,) = generator.generate([_ask("x")])
        assert answer.is_ok


@pytest.mark.parametrize(
    ("code", "is_transient"), [("unsupported_parameter", True), ("context_length_exceeded", False)]
)
def test_a_400_that_blames_the_call_condemns_no_record(code: str, is_transient: bool) -> None:
    with _serving({"x": [400]}) as server:
        server.code = code
        (answer,) = _generate(server, [_ask("x")])
        assert not answer.is_ok and answer.is_transient == is_transient and len(server.bodies) == 1


SCHEMA = json.dumps({"type": "object", "properties": {"answer": {"enum": ["yes"]}}, "required": ["answer"]})


def test_a_server_that_ignores_schemas_is_found_out_before_it_is_asked() -> None:
    with _serving({}) as server:
        asked = [dataclasses.replace(_ask(name), response_schema=SCHEMA) for name in "ab"]
        answers = _generate(server, [*asked, _ask("c")])
        assert [answer.is_ok for answer in answers] == [False, False, True]
        assert answers[0].is_transient and "does not follow" in answers[0].error and answers[0].attempts == 0
        assert len(server.bodies) == 2, "one probe, and the request without a schema"


def test_a_server_that_follows_schemas_is_probed_once() -> None:
    with _serving({}) as server:
        server.follows_schemas = True
        meter = Meter()
        generator = OpenAICompatible(_config(server), meter)
        for name in "ab":
            (answer,) = generator.generate([dataclasses.replace(_ask(name), response_schema=SCHEMA)])
            assert json.loads(answer.text) == {"answer": "yes"}
        assert len(server.bodies) == 3
        assert (meter.run.answered, meter.run.probes, meter.run.attempts) == (2, 1, 3)


def test_a_schema_that_is_no_json_fails_alone() -> None:
    with _serving({}) as server:
        bad, good = _generate(server, [dataclasses.replace(_ask("a"), response_schema="{"), _ask("b")])
        assert not bad.is_ok and not bad.is_transient and good.is_ok


def test_a_budget_stops_before_it_is_exceeded_and_a_larger_one_resumes(tmp_path: Path) -> None:
    requests = [dataclasses.replace(_ask(str(n)), parameters=Parameters(max_tokens=50)) for n in range(30)]

    def run(server: _Server, tokens: int) -> tuple[list[Completion], BudgetExhausted | None, Meter]:
        answers: list[Completion] = []
        with RequestCache(tmp_path) as cache:
            meter = Meter(cache=cache, budget=Budget(tokens=tokens))
            generator = Cached(OpenAICompatible(_config(server, concurrency=4), meter), meter)
            try:
                for answer in generator.generate(requests):
                    answers.append(answer)
            except BudgetExhausted as stop:
                return answers, stop, meter
            return answers, None, meter

    with _serving({}) as server:
        answers, stop, meter = run(server, 200)
        assert stop is not None and stop.usage == meter.total
        n_sent = len(server.bodies)
        # Nine tokens an answer, 67 at worst: more fit than the worst case says, as what came back is settled.
        assert meter.total.tokens <= 200 and n_sent > 200 // 67 and n_sent == meter.total.answered >= len(answers)
        assert all(answer.is_ok for answer in answers)
        again, stop, meter = run(server, 10_000)
        assert stop is None and [answer.text for answer in again] == [f"re: {n}" for n in range(30)]
        assert len(server.bodies) == 30 and meter.run.cached == n_sent


def test_without_a_cache_a_stop_carries_what_was_paid_for() -> None:
    requests = [dataclasses.replace(_ask(str(n)), parameters=Parameters(max_tokens=50)) for n in range(30)]
    with _serving({}) as server:
        meter = Meter(budget=Budget(tokens=200))
        answers: list[Completion] = []
        with pytest.raises(BudgetExhausted) as stop:
            answers.extend(OpenAICompatible(_config(server), meter).generate(requests))
        # extend() keeps what came before the exception
        texts = {answer.text for answer in (*answers, *stop.value.unyielded)}
        assert len(texts) == len(server.bodies) == meter.run.answered

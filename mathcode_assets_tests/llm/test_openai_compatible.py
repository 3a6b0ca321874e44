import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mathcode_assets.llm.generator import Completion, Message, Request
from mathcode_assets.llm.openai_compatible import OpenAICompatible, ServerConfig
from mathcode_assets_tests.llm.test_generator import REQUEST


class _Server(ThreadingHTTPServer):
    """Answers each question by its script: a list of statuses, one for each time it is asked."""

    daemon_threads = True

    def __init__(self, scripts: dict[str, list[int]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts = scripts
        self.bodies: list[dict] = []
        self.lock = threading.Lock()
        self.n_open = self.most_open = 0


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
        threading.Event().wait(0.02)  # so that requests in flight overlap
        with self.server.lock:
            self.server.n_open -= 1
        self._send(status, _answer(question) if status == 200 else {"error": {"message": f"status {status}"}})

    def _send(self, status: int, answer: object) -> None:
        payload = json.dumps(answer).encode() if answer is not None else b"not json"
        self.send_response(200 if status == 299 else status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Keep test output clean."""


def _answer(question: str) -> dict:
    message = {"role": "assistant", "content": f"re: {question}"}
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


def _generate(server: _Server, requests: list[Request], *, concurrency: int = 8) -> list[Completion]:
    config = ServerConfig(
        base_url=f"http://127.0.0.1:{server.server_port}/v1",
        concurrency=concurrency,
        attempts=3,
        first_delay_s=0.01,
        timeout_s=20,
    )
    return list(OpenAICompatible(config).generate(requests))


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

"""Batch files against a service on loopback with the files and batches endpoints."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import pytest

from mathcode_assets.llm.batch_file import (
    WAITING,
    BatchFiles,
    collect_outputs,
    parse_batch_output,
    pending_keys,
    write_batch,
)
from mathcode_assets.llm.batch_service import collect, submit
from mathcode_assets.llm.batch_state import BatchState
from mathcode_assets.llm.budget import Budget, BudgetExhausted
from mathcode_assets.llm.cache import Cached, RequestCache
from mathcode_assets.llm.generator import Completion, Message, Request
from mathcode_assets.llm.meter import Meter
from mathcode_assets.llm.server import ServerConfig
from mathcode_assets_tests.llm.test_generator import REQUEST


def ask(question: str, **changes: object) -> Request:
    return dataclasses.replace(REQUEST, messages=(Message(role="user", content=question),), **changes)


class Service(ThreadingHTTPServer):
    """Runs a batch when told to: each question gets an answer, unless a word in it says otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict] = {}
        self.is_dying_after_create = False

    @property
    def config(self) -> ServerConfig:
        return ServerConfig(base_url=f"http://127.0.0.1:{self.server_port}/v1", timeout_s=20)

    def run(self, *, status: str = "completed", n_done: int = 1_000) -> None:
        for batch in self.batches.values():
            if batch["status"] != "in_progress":
                continue
            outputs, errors = [], []
            for number, line in enumerate(self.files[batch["input_file_id"]].splitlines()):
                row = json.loads(line)
                question = row["body"]["messages"][-1]["content"]
                if number >= n_done:
                    errors.append(_row(row, None, {"code": "batch_expired", "message": "too late"}))
                elif "bad" in question:
                    errors.append(_row(row, (400, {"error": {"message": "no", "code": None}}), None))
                else:
                    outputs.append(_row(row, (200, _answer(question)), None))
            batch["status"] = status
            batch["output_file_id"] = self.keep(outputs)
            batch["error_file_id"] = self.keep(errors)

    def keep(self, rows: list[dict]) -> str | None:
        if not rows:
            return None
        name = f"file-{len(self.files)}"
        self.files[name] = "".join(json.dumps(row) + "\n" for row in reversed(rows)).encode()
        return name


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/files":
            boundary = re.search("boundary=(.*)", self.headers["Content-Type"])
            assert boundary and b'"purpose"\r\n\r\nbatch' in body
            part = next(part for part in body.split(boundary[1].encode()) if b"filename=" in part)
            name = f"file-{len(self.server.files)}"
            self.server.files[name] = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n--")
            self._send({"id": name, "object": "file", "purpose": "batch"})
        else:
            asked = json.loads(body)
            batch = {"id": f"batch-{len(self.server.batches)}", "object": "batch", "status": "in_progress", **asked}
            self.server.batches[batch["id"]] = batch
            if self.server.is_dying_after_create:
                self.close_connection = True
                return
            self._send(batch)

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        if self.path.endswith("/content"):
            payload = self.server.files[self.path.split("/")[-2]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
        elif name == "batches":
            self._send({"object": "list", "data": list(self.server.batches.values()), "has_more": False})
        else:
            self._send(self.server.batches[name])

    def _send(self, answer: dict) -> None:
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Keep test output clean."""


def _row(row: dict, response: tuple[int, dict] | None, error: dict | None) -> dict:
    told = {"status_code": response[0], "request_id": "r", "body": response[1]} if response else None
    return {"id": "x", "custom_id": row["custom_id"], "response": told, "error": error}


def _answer(question: str) -> dict:
    message = {"role": "assistant", "content": f"re: {question}"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    return {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


@contextmanager
def _serving() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
        thread.join()


def _stage(folder: Path, questions: list[str], budget: Budget | None = None) -> tuple[list[Completion], Meter]:
    """What a stage does: ask through the cache, whatever the backend."""
    with RequestCache(folder / "cache") as cache:
        meter = Meter(cache=cache, budget=budget)
        generator = Cached(BatchFiles(folder / "batch", meter), meter)
        return list(generator.generate(ask(question) for question in questions)), meter


def _collect(folder: Path, service: Service) -> tuple[int, int, tuple[str, ...]]:
    with RequestCache(folder / "cache") as cache:
        found = collect(folder / "batch", service.config, Meter(cache=cache))
        return found.answers, found.waiting, found.rejected


def test_a_stage_asks_by_running_and_finds_its_answers_later(tmp_path: Path) -> None:
    with _serving() as service:
        questions = ["a \u2028", "bad b", "c", "c"]
        first, meter = _stage(tmp_path, questions)
        assert [(answer.error, answer.is_transient) for answer in first[:3]] == [(WAITING, True)] * 3
        assert meter.run.deferred == 4 and meter.run.attempts == 0
        assert submit(tmp_path / "batch", service.config) == ["batch-0"]
        assert _collect(tmp_path, service) == (0, 1, ())
        service.run()
        assert _collect(tmp_path, service) == (3, 0, ())
        second, meter = _stage(tmp_path, questions)
        assert [answer.text for answer in second] == ["re: a \u2028", "", "re: c", "re: c"]
        assert not second[1].is_transient and "400" in second[1].error
        assert (meter.total.answered, meter.total.failed, meter.total.attempts) == (2, 1, 3)
        assert meter.total.prompt_tokens == 14
        assert len(service.batches) == 1 and not pending_keys(tmp_path / "batch")


def test_every_step_can_be_repeated_without_sending_twice(tmp_path: Path) -> None:
    with _serving() as service:
        for _ in range(2):
            _stage(tmp_path, ["a", "b"])
            submit(tmp_path / "batch", service.config)
        _stage(tmp_path, ["a", "b", "c"])
        submit(tmp_path / "batch", service.config)
        assert [len(service.files[b["input_file_id"]].splitlines()) for b in service.batches.values()] == [2, 1]
        service.run()
        assert _collect(tmp_path, service) == (3, 0, ())
        assert _collect(tmp_path, service) == (0, 0, ())
        _stage(tmp_path, ["a", "b", "c"])
        assert submit(tmp_path / "batch", service.config) == []


def test_a_batch_whose_start_was_never_written_down_is_found_again(tmp_path: Path) -> None:
    with _serving() as service:
        _stage(tmp_path, ["a"])
        service.is_dying_after_create = True
        with pytest.raises(openai.APIConnectionError):
            submit(tmp_path / "batch", service.config)
        service.is_dying_after_create = False
        assert submit(tmp_path / "batch", service.config) == []
        assert len(service.batches) == 1
        service.run()
        assert _collect(tmp_path, service) == (1, 0, ())


def test_what_an_expired_batch_got_done_is_kept_and_the_rest_asked_again(tmp_path: Path) -> None:
    with _serving() as service:
        questions = ["a", "b", "c"]
        _stage(tmp_path, questions)
        submit(tmp_path / "batch", service.config)
        service.run(status="expired", n_done=1)
        assert _collect(tmp_path, service) == (1, 0, ())
        answers, _ = _stage(tmp_path, questions)
        assert [answer.is_ok for answer in answers] == [True, False, False]
        submit(tmp_path / "batch", service.config)
        service.run()
        assert _collect(tmp_path, service) == (2, 0, ())
        answers, _ = _stage(tmp_path, questions)
        assert all(answer.is_ok for answer in answers)


def test_a_batch_the_service_rejects_is_told_and_its_requests_are_free_again(tmp_path: Path) -> None:
    with _serving() as service:
        _stage(tmp_path, ["a"])
        submit(tmp_path / "batch", service.config)
        errors = {"object": "list", "data": [{"line": 1, "message": "no such model", "code": "x"}]}
        service.batches["batch-0"] |= {"status": "failed", "errors": errors}
        answers, waiting, rejected = _collect(tmp_path, service)
        assert (answers, waiting) == (0, 0) and "no such model" in rejected[0]
        assert not pending_keys(tmp_path / "batch")


def test_files_are_split_by_requests_bytes_and_model(tmp_path: Path) -> None:
    by_count = write_batch((ask(str(n)) for n in range(7)), tmp_path / "n", max_requests=3)
    assert [len(path.read_bytes().splitlines()) for path in by_count] == [3, 3, 1]
    size = len(by_count[2].read_bytes())
    by_size = write_batch((ask(str(n)) for n in range(7)), tmp_path / "s", max_bytes=2 * size)
    assert [len(path.read_bytes().splitlines()) for path in by_size] == [2, 2, 2, 1]
    by_model = write_batch([ask("a"), ask("b", model="other"), ask("a")], tmp_path / "m")
    assert [json.loads(path.read_bytes())["body"]["model"] for path in by_model] == ["m", "other"]
    with pytest.raises(ValueError, match="bytes"):
        write_batch([ask("x" * 500)], tmp_path / "l", max_bytes=100)


def test_a_request_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    with RequestCache(tmp_path / "cache") as cache:
        meter = Meter(cache=cache)
        generator = Cached(BatchFiles(tmp_path / "batch", meter), meter)
        bad, good = generator.generate([ask("a", response_schema="{"), ask("b")])
    assert not bad.is_transient and good.is_transient
    assert pending_keys(tmp_path / "batch") == {ask("b").key}


def test_a_budget_holds_waiting_batches_at_their_worst(tmp_path: Path) -> None:
    budget = Budget(tokens=3 * 1024 + 200)
    with pytest.raises(BudgetExhausted):
        _stage(tmp_path, [str(n) for n in range(5)], budget)
    assert len(pending_keys(tmp_path / "batch")) == 3
    with pytest.raises(BudgetExhausted):
        _stage(tmp_path, ["other"], budget)
    assert len(pending_keys(tmp_path / "batch")) == 3


def test_the_output_of_vllms_own_batch_runner_is_read(tmp_path: Path) -> None:
    (path,) = write_batch([ask("a"), ask("too long"), ask("c")], tmp_path)
    usage = {"prompt_tokens": 5, "total_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": None}
    message = {"role": "assistant", "reasoning": None, "content": "four", "refusal": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "length", "stop_reason": None}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
    good = {"id": "vllm-1", "custom_id": ask("a").key, "error": None}
    good["response"] = {"status_code": 200, "request_id": "vllm-batch-1", "body": body}
    bad = {"id": "vllm-2", "custom_id": ask("too long").key}
    bad["response"] = {"status_code": 400, "request_id": "vllm-batch-2", "body": None}
    bad["error"] = {"error": {"message": "maximum context length", "type": "BadRequestError", "code": 400}}
    output = path.with_suffix(".output.jsonl")
    output.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n" + '{"id": "torn')
    first, second = parse_batch_output(output)
    assert (first.text, first.finish_reason, first.prompt_tokens, first.completion_tokens) == ("four", "length", 5, 4)
    assert first.generator == "m@unversioned"
    assert not second.is_transient and "maximum context length" in second.error
    with RequestCache(tmp_path / "cache") as cache:
        assert collect_outputs(tmp_path, Meter(cache=cache)) == 2
        assert pending_keys(tmp_path), "one answer is missing: the runner may still be at work"
        assert collect_outputs(tmp_path, Meter(cache=cache), is_final=True) == 0
        assert not pending_keys(tmp_path) and BatchState(tmp_path).reserved() == (0, 0)


@pytest.mark.parametrize("line", ["{", '{"id": 1}', "3", '{"custom_id": 7}'])
def test_a_line_that_is_no_output_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"o\.jsonl:1"):
        list(parse_batch_output(path))

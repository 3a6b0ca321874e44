"""Everything that can go wrong between a run and its server, and that nothing is lost, doubled or miscounted."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from mathcode_assets.llm.cache import RequestCache
from mathcode_assets.llm.ledger import Usage
from mathcode_assets_tests.llm import fault_client, fault_server

N = 2_000
PATIENCE_S = 120


class Site:
    """A socket, a server on it that is started again whenever it dies, and clients to be started and killed."""

    def __init__(self, folder: Path, lives: list[int]) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.lives = lives
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))  # nobody listens yet: connections are refused
        self.port = self.socket.getsockname()[1]
        self.n_started = self.pid = 0
        self.closing = Event()
        self.keeper = Thread(target=self._keep_serving, daemon=True)

    def listen(self) -> None:
        self.socket.listen(128)
        self.keeper.start()

    def _keep_serving(self) -> None:
        while not self.closing.is_set():
            life = self.lives[self.n_started] if self.n_started < len(self.lives) else 0
            self.n_started += 1
            arguments = [str(self.socket.fileno()), str(self.folder), f"seed {self.n_started}", str(life)]
            server = subprocess.Popen(
                [sys.executable, fault_server.__file__, *arguments], pass_fds=[self.socket.fileno()]
            )
            self.pid = server.pid
            while server.poll() is None and not self.closing.wait(0.02):
                pass
            if server.poll() is None:
                os.kill(server.pid, signal.SIGKILL)
            server.wait()

    def client(self, *, timeout_s: float, n: int = N) -> subprocess.Popen[bytes]:
        arguments = [str(self.port), str(self.cache), str(self.folder / "output"), str(n), str(timeout_s)]
        return subprocess.Popen([sys.executable, "-m", fault_client.__name__, *arguments])

    def ends(self) -> dict[str, tuple[str, str]]:
        """Of each accepted connection: how it ended by the server's log, and the question."""
        ends: dict[str, tuple[str, str]] = {}
        if (self.folder / "log").exists():
            for line in (self.folder / "log").read_text().splitlines():
                row = json.loads(line)
                ends[row["connection"]] = (row["event"], row["question"] or ends.get(row["connection"], ("", ""))[1])
        return ends

    def output(self) -> list[dict]:
        path = self.folder / "output"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def usage(self) -> Usage:
        with RequestCache(self.cache) as cache:
            return cache.ledger.usage


@contextmanager
def _site(folder: Path, lives: list[int]) -> Iterator[Site]:
    site = Site(folder, lives)
    try:
        yield site
    finally:
        site.closing.set()
        if site.keeper.is_alive():
            site.keeper.join()
        site.socket.close()


def _until(is_so: Callable[[], bool], client: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert client.poll() is None, "the client ended"
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def _kill(client: subprocess.Popen[bytes]) -> None:
    os.kill(client.pid, signal.SIGKILL)
    assert client.wait(PATIENCE_S) == -signal.SIGKILL


def _kill_while_all_is_at_the_server(site: Site, client: subprocess.Popen[bytes]) -> None:
    """Kill the client at a moment when both sides can know the same: every request under way is in the
    server's hands, and every answer the server gave is on the client's disk."""
    (site.folder / "hold").touch()

    def is_held() -> bool:
        ends = site.ends()
        n_held = sum(name.startswith(f"{site.pid}-") and event == "read" for name, (event, _) in ends.items())
        n_answers = sum(event == "completed" and question != "probe" for event, question in ends.values())
        return n_held == fault_client.CONCURRENCY and site.usage().answered == n_answers

    _until(is_held, client)
    _kill(client)
    (site.folder / "hold").unlink()


def _agrees(site: Site) -> bool:
    """Whether the ledger says what the server's log says."""
    ends = Counter((event, question == "probe") for event, question in site.ends().values())
    usage = site.usage()
    told = (usage.attempts, usage.answered, usage.probes, usage.attempts_unknown)
    n_broken = sum(count for (event, _), count in ends.items() if event in ("accepted", "read", "broke"))
    return told == (sum(ends.values()), ends["completed", False], ends["completed", True], n_broken)


def test_nothing_is_lost_or_doubled_and_the_ledger_agrees_with_the_servers_log(tmp_path: Path) -> None:
    with _site(tmp_path, lives=[350, 500, 700]) as site:
        client = site.client(timeout_s=PATIENCE_S)
        _until(lambda: any(path.stat().st_size > 2_000 for path in site.cache.glob("*")), client)
        assert site.usage().attempts <= fault_client.CONCURRENCY, "refused connections are no attempts"
        site.listen()
        _until(lambda: len(site.output()) > 300, client)
        _kill_while_all_is_at_the_server(site, client)

        (tmp_path / "hangs").touch()
        for _ in range(10):
            answered_before = site.usage().answered
            client = site.client(timeout_s=5)
            assert client.wait(PATIENCE_S) == 0
            output = site.output()
            assert len(output) == N
            assert sum(row["is_cached"] and row["status"] == "ok" for row in output) == answered_before
            if not any(row["is_transient"] for row in output):
                break
        requests = list(fault_client.questions(N))
        assert [row["key"] for row in output] == [request.key for request in requests]
        for row, request in zip(output, requests, strict=True):
            question = request.messages[0].content
            if "poison" in question:
                assert row["error"].startswith(f"quarantined after {fault_client.MAX_ATTEMPTS} attempts")
            elif "forbidden" in question:
                assert "HTTP 400" in row["error"]
            else:
                assert row["text"] == f"re: {question}"

        answers = Counter(question for event, question in site.ends().values() if event == "completed")
        del answers["probe"]
        assert set(answers.values()) == {1}, "no answered request was sent again"
        deadline = time.monotonic() + PATIENCE_S
        while not _agrees(site) and time.monotonic() < deadline:  # the server notices a hang-up a moment later
            time.sleep(0.05)
        assert _agrees(site), (site.usage(), Counter(event for event, _ in site.ends().values()))
        assert site.usage().attempts_unknown > 100 and site.n_started > 2


@pytest.mark.parametrize("seed", [1, 2])
def test_a_client_killed_at_any_moment_never_knows_less_than_the_server(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    n_requests = 300
    with _site(tmp_path, lives=[]) as site:
        site.listen()
        for _ in range(2):
            n_before = len(site.ends())
            client = site.client(timeout_s=3, n=n_requests)
            target = n_before + rng.randrange(5, 150)
            _until(lambda target=target: len(site.ends()) >= target, client)
            _kill(client)
        client = site.client(timeout_s=3, n=n_requests)
        assert client.wait(PATIENCE_S) == 0
        assert len(site.output()) == n_requests
        usage, ends = site.usage(), Counter(event for event, _ in site.ends().values())
        at_most_under_way = 2 * fault_client.CONCURRENCY  # of the two that were killed
        assert sum(ends.values()) <= usage.attempts <= sum(ends.values()) + at_most_under_way
        n_doubled = Counter(q for event, q in site.ends().values() if event == "completed" and q != "probe")
        assert sum(n_doubled.values()) - len(n_doubled) <= at_most_under_way

"""Keys in the environment never reach the lake, Dagster's record, its logs, or a program in the sandbox.

A shard is translated by a server that wants a key, and that repeats it where it refuses; the programs that it
writes look for keys wherever a process finds any. Then every byte that was written is searched.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from mathcode_assets.cli import main
from mathcode_assets.definitions import LAKE_ASSETS
from mathcode_assets.defs.instance import open_instance
from mathcode_assets.defs.resources import WorkspaceResource
from mathcode_assets.mathematical_code.prompts import titled_answer
from mathcode_assets.records import CLEAN_DOCUMENT, batch_of
from mathcode_assets.storage.manifest import Accounting, Recipe

ASSETS = {asset.key: asset for asset in LAKE_ASSETS}
LAYERS = ("completions", "computations", "translated", "separated")
KEY_VARIABLE = "TRANSLATOR_KEY"
SECRETS = {
    KEY_VARIABLE: "sk-proj-4fV9qT7wL2xN8bYc",
    "OPENAI_API_KEY": "sk-live-Zk31mPq0RtYx77Ua",
    "AWS_ACCESS_KEY_ID": "AKIAQ3EGXAMPLEKEYID7",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYzq93hTKY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEJrXampleSessionToken55",
    "HF_TOKEN": "hf_bQzTrWkLmXyVnPsUoJdRcEg",
}
# What a program may find in its own process, and in those around it.
PROWLER = """\
import glob, os, subprocess, sys
print(17 * 23)
print(sorted(os.environ.items()))
for path in ['/proc/self/environ', '/proc/1/environ', f'/proc/{os.getppid()}/environ', *glob.glob('/proc/*/environ'),
             *glob.glob('/proc/*/cmdline'), os.path.expanduser('~/.aws/credentials'), HOSTS_CREDENTIALS]:
    try:
        print(path, open(path, 'rb').read())
    except OSError as error:
        print(path, error)
try:
    print(subprocess.run(['env'], capture_output=True).stdout)
except OSError as error:
    print(error)
""".replace("HOSTS_CREDENTIALS", repr(str(Path.home() / ".aws" / "credentials")))
REFUSED, FAILING = "Refuse this one.", "Fail at this one."
TEXT = "Passage {}. Take two numbers. Then $17 \\cdot 23 = 391$, which is odd.\n"


@dataclass
class Server:
    """A loopback server that notes the keys it was sent."""

    url: str = ""
    keys: list[str] = field(default_factory=list)
    is_failing: bool = True


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    answer = titled_answer(
        number=1, conditions="", expression="17 \\cdot 23", result="391", code=PROWLER, language="python"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = body["messages"][-1]["content"]
            key = self.headers["Authorization"].removeprefix("Bearer ")
            state.keys.append(key)
            status = 400 if REFUSED in question else 503 if FAILING in question and state.is_failing else 200
            message = {"role": "assistant", "content": answer}
            told: dict[str, Any] = {
                "id": "a", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            }  # fmt: skip
            if status != 200:
                told = {"error": {"message": f"not with the key {key}", "type": "error", "code": "no", "param": key}}
            payload = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        yield state
        listening.shutdown()


@pytest.fixture(autouse=True)
def secrets_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def sources_file(folder: Path, server: Server) -> Path:
    """A lake with a clean shard of three pages, one of which the server refuses and one at which it fails."""
    (folder / "pages").mkdir()
    (folder / "pages" / "shard.jsonl").write_text('{"url": "u", "text": "a"}\n')
    limits = {"attempts": 1, "max_attempts": 2}
    generation = {"generator": "openai", "base_url": server.url, "model": "small", "api_key_env": KEY_VARIABLE}
    written = {
        "root": "lake",
        "sources": {"open_web_math": {"uri": "pages/*.jsonl"}},
        "settings": {"generation": generation | {"limits": limits}},
    }
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump(written))
    workspace = WorkspaceResource(sources_file=str(path)).open()
    rows = [
        {
            "doc_id": f"{number:032x}", "source": "open_web_math", "source_id": str(number), "source_uri": "u",
            "source_file": "shard.jsonl", "source_row": number, "source_revision": "r", "licence": "MIT",
            "text": f"{what} {TEXT.format(number)}", "source_metadata": "{}", "n_tokens": 9,
        }
        for number, what in enumerate(("", REFUSED, FAILING))
    ]  # fmt: skip
    workspace.lake.publish(
        workspace.lake.table("clean/open_web_math", "shard"),
        schema=CLEAN_DOCUMENT,
        recipe=Recipe(code_version="1"),
        batches=[batch_of(rows, CLEAN_DOCUMENT)],
        accounting=lambda n: Accounting(n_in=n, n_kept=n),
    )
    return path


def forms_of(secret: str) -> list[bytes]:
    """A secret as it stands, and as base64 and reversed text would hide it from the eye."""
    plain = secret.encode()
    return [plain, base64.b64encode(plain).rstrip(b"=")[:-1], plain[::-1]]


def leaks(content: bytes) -> list[str]:
    return [name for name, secret in SECRETS.items() if any(form in content for form in forms_of(secret))]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it stands on disk, and the values of every Parquet file, which are compressed there."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield str(path), path.read_bytes()
        if path.suffix == ".parquet":
            yield f"{path} (values)", repr(pq.read_table(path).to_pylist()).encode()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    secret = SECRETS["AWS_SECRET_ACCESS_KEY"]
    (tmp_path / "log").write_text(f"key={secret}\n")
    ((_, content),) = contents(tmp_path)
    assert leaks(content) == ["AWS_SECRET_ACCESS_KEY"]
    assert leaks(base64.b64encode(secret.encode())) == ["AWS_SECRET_ACCESS_KEY"]


def test_no_key_is_written_anywhere_and_no_program_sees_one(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sources = sources_file(tmp_path, server)
    keys = [f"{layer}/open_web_math" for layer in LAYERS]
    home = tmp_path / "dagster"
    with open_instance(home) as instance:
        instance.add_dynamic_partitions("open_web_math", ["shard"])
        for number in range(2):  # the first time a request fails for now, and the step with it
            result = dg.materialize(
                [ASSETS[key].definition() for key in keys],
                instance=instance,
                resources={"workspace": WorkspaceResource(sources_file=str(sources))},
                partition_key="shard",
                raise_on_error=False,
            )
            assert result.success == bool(number)
            server.is_failing = False
    told, errors = capfd.readouterr()

    assert set(server.keys) == {SECRETS[KEY_VARIABLE]}  # it was used, and it alone
    workspace = WorkspaceResource(sources_file=str(sources)).open()
    asked = [row for b in workspace.lake.table(keys[0], "shard").batches() for row in b.to_pylist()]
    assert sorted(row["status"] for row in asked) == ["failed", "ok", "ok"]
    (refused,) = (row["error"] for row in asked if row["status"] == "failed")
    assert "not with the key [key]" in refused  # what the server says is kept, without the key
    ran = [row for b in workspace.lake.table(keys[1], "shard").batches() for row in b.to_pylist() if row["code"]]
    assert [row["stdout"].startswith("391\n") for row in ran] == [True, True]
    assert all("/proc/self/environ" in row["stdout"] for row in ran)

    searched = dict(contents(tmp_path))
    assert any(name.endswith(".db") for name in searched)  # Dagster's events
    assert any(".generation" in name for name in searched)  # the requests kept
    assert any(name.endswith((".out", ".err")) for name in searched)  # compute logs
    searched |= {"stdout": told.encode(), "stderr": errors.encode(), "logging": caplog.text.encode()}
    assert {name: found for name, content in searched.items() if (found := leaks(content))} == {}


def test_the_commands_keep_to_it_too(tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    texts, programs = tmp_path / "in.jsonl", tmp_path / "programs.jsonl"
    rows = [{"id": number, "text": f"{what} {TEXT.format(number)}"} for number, what in enumerate(("", REFUSED))]
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    programs.write_text(json.dumps({"id": 1, "code": PROWLER}) + "\n")
    asked = ["translate", "--generator", "openai", "--base-url", server.url, "--model", "small"]
    asked += ["--api-key-env", KEY_VARIABLE, "--input", str(texts), "--output", str(tmp_path / "out.jsonl")]
    assert main(asked) in (0, 1)
    assert main(["execute", "--input", str(programs), "--output", str(tmp_path / "ran.jsonl")]) == 0
    assert set(server.keys) == {SECRETS[KEY_VARIABLE]}
    assert json.loads((tmp_path / "ran.jsonl").read_text())["stdout"].startswith("391\n")
    told, errors = capfd.readouterr()
    searched = dict(contents(tmp_path)) | {"stdout": told.encode(), "stderr": errors.encode()}
    assert {name: found for name, content in searched.items() if (found := leaks(content))} == {}

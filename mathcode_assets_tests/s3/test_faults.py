"""A store that fails in every way it can, a writer that is killed, and refusals: what is published stays whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow as pa
import pytest

from mathcode_assets.cli import main
from mathcode_assets.records import DOCUMENT, batch_of
from mathcode_assets.storage import filesystem, lake
from mathcode_assets.storage.filesystem import StorageError
from mathcode_assets.storage.lake import Lake
from mathcode_assets.storage.manifest import Accounting, Recipe
from mathcode_assets_tests.conftest import REPOSITORY
from mathcode_assets_tests.s3.conftest import objects
from mathcode_assets_tests.s3.faulty_proxy import FAULTS, Faults, FaultyProxy, faulty_proxy
from mathcode_assets_tests.s3.swift_server import SwiftServer, free_ports

TABLES, MODELS, ROUNDS = 2, 3, 3  # of each model an upload in parts a round: more than there are faults
SMALLEST_PART = 5 << 20  # S3's own limit
WAIT_S = 60


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads in parts from 10 MB on, so that a test need not send gigabytes."""
    monkeypatch.setattr(filesystem, "UPLOAD_PART_BYTES", SMALLEST_PART)


@pytest.fixture
def faulty(server: SwiftServer, request: pytest.FixtureRequest) -> Iterator[FaultyProxy]:
    with faulty_proxy(server.endpoint, request.param) as running:
        yield running


def options(server: SwiftServer, endpoint: str | None = None) -> dict[str, Any]:
    return {"endpoint_url": endpoint or server.endpoint, "key": server.key, "secret": server.secret}


def documents(n_rows: int, version: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, n_rows, 100):
        yield batch_of([document(number, version) for number in range(start, min(start + 100, n_rows))], DOCUMENT)


def document(number: int, version: int) -> dict[str, Any]:
    doc_id = f"{number:024x}{version:08x}"
    row = {column.name: None if column.nullable else "" for column in DOCUMENT}
    return row | {
        "doc_id": doc_id,
        "text": f"Document {number}, version {version}: $\\sqrt{{{number}}}$. " * 20,
        "source_row": number,
    }


def publish(target: Lake, key: str, version: int) -> None:
    target.publish(
        target.table(key, "shard"),
        schema=DOCUMENT,
        recipe=Recipe(code_version=str(version)),
        batches=documents(300, version),
        accounting=lambda n_rows: Accounting(n_in=n_rows, n_kept=n_rows),
    )


def publish_model(target: Lake, folder: Path, version: int, name: str = "0") -> None:
    """A folder of a small and a large file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(f'{{"version": {version}}}')
    (folder / "weights.bin").write_bytes(weights(version))
    target.publish_folder(
        target.table(f"models/{name}"),
        folder=folder,
        recipe=Recipe(code_version=str(version)),
        accounting=Accounting(n_in=0, n_kept=0),
        facts={},
    )


def weights(version: int) -> bytes:
    return b"".join(f"{version}:{number:09d}\n".encode() for number in range(2 * SMALLEST_PART // 12 + 4000))


def use_everything(target: Lake, folder: Path) -> list[str]:
    """Publish, read, verify, fetch, list and remove through every call of a lake; what was read, in words."""
    told = []
    for version in range(ROUNDS):
        for number in range(TABLES):
            publish(target, f"raw/table_{number}", version)
        for number in range(MODELS):
            publish_model(target, folder / "model", version, str(number))
        for number in range(TABLES):
            table = target.table(f"raw/table_{number}", "shard")
            table.verify()
            texts = [text for batch in table.batches(columns=["text"]) for text in batch.column("text").to_pylist()]
            told.append(f"{table.key} {len(texts)} {texts[-1][:40]} {target.partitions(table.key)}")
            told.append(f"{target.is_current(table, Recipe(code_version=str(version)))}")
        fetched = target.fetch_folder(target.table("models/0"), folder / f"fetched-{version}")
        told.append(f"{(fetched / 'weights.bin').read_bytes() == weights(version)}")
        publish(target, "raw/passing", version)
        target.remove(target.table("raw/passing", "shard"))
        told.append(f"{target.partitions('raw/passing')}")
    return told


@pytest.mark.timeout(900)
@pytest.mark.parametrize("faulty", [Faults(seed=6)], indirect=True)
def test_a_store_that_fails_in_every_way_ends_with_the_same_bytes(
    small_parts: None, server: SwiftServer, faulty: FaultyProxy, client: Any, bucket: str, tmp_path: Path
) -> None:
    expected = use_everything(Lake(tmp_path / "lake"), tmp_path / "a")
    through_faults = Lake(f"s3://{bucket}/lake", options(server, faulty.endpoint))
    with TornPublishes(Lake(f"s3://{bucket}/lake", options(server))) as torn:
        assert use_everything(through_faults, tmp_path / "b") == expected
    assert torn == []
    files = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    local = {path.relative_to(tmp_path / "lake").as_posix(): path.read_bytes() for path in files}
    assert objects(client, bucket, "lake/") == local
    kinds = {"get", "list", "put", "begin", "part", "complete", "delete"}
    untried = {(kind, fault) for kind in kinds for fault in FAULTS} - faulty.given.keys()
    assert not untried, f"never happened: {sorted(untried)}; {faulty.requests}"


class TornPublishes:
    """While the block runs: manifests that name a file which is not there, as a reader without faults sees them."""

    def __init__(self, target: Lake) -> None:
        self._target, self._torn = target, []
        self._ended = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> list[str]:
        self._thread.start()
        return self._torn

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(WAIT_S)

    def _look(self) -> None:
        keys = [(f"raw/table_{number}", "shard") for number in range(TABLES)] + [("models/0", lake.WHOLE)]
        while not self._ended.wait(0.1):
            for key, partition in keys:
                table = self._target.table(key, partition)
                manifest = table.find_manifest()
                if manifest is None:
                    continue
                there = table.location.sizes()
                gone = [file.name for file in manifest.files if there.get(file.name) != file.size_bytes]
                # A reader that holds an old manifest while a new one is published reads it again.
                if gone and table.find_manifest() == manifest:
                    self._torn.append(f"{key} names {gone}")


WRITER = """
import sys
from pathlib import Path
from mathcode_assets.storage import filesystem
from mathcode_assets.storage.lake import Lake
from mathcode_assets_tests.s3.test_faults import SMALLEST_PART, publish_model
filesystem.UPLOAD_PART_BYTES = SMALLEST_PART
publish_model(Lake(sys.argv[1]), Path(sys.argv[2]), 2)
"""


@pytest.mark.parametrize(
    ("faulty", "kind"),
    [(Faults(seed=1, every=1, kinds=(kind,), faults=("slow",)), kind) for kind in ("part", "complete", "put")],
    indirect=["faulty"],
    ids=["part", "complete", "put"],
)
def test_a_writer_killed_in_the_middle_leaves_the_old_or_the_new(
    small_parts: None, server: SwiftServer, faulty: FaultyProxy, client: Any, bucket: str, tmp_path: Path, kind: str
) -> None:
    target = Lake(f"s3://{bucket}/lake", options(server))
    table = target.table("models/0")
    publish_model(target, tmp_path / "model", 1)
    versions = {1: table.manifest().data_version}
    environment = os.environ | server.environment | {"AWS_ENDPOINT_URL": faulty.endpoint}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, f"s3://{bucket}/lake", str(tmp_path / "again")],
        env=environment,
        cwd=REPOSITORY,
    )
    try:
        wait_until(lambda: faulty.requests[kind] > 0 or writer.poll() is not None)
        assert writer.poll() is None, "the writer was not killed in the middle"
        os.kill(writer.pid, signal.SIGKILL)
    finally:
        writer.wait(WAIT_S)
    wait_until(lambda: not faulty.under_way)  # what has left the writer is done without it
    table.verify()
    assert table.manifest().data_version == versions[1] or kind == "put"
    unfinished = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    if kind == "complete":
        # Whether the request still reached the server is a matter of the moment: the file is there, or its parts are.
        is_there = sum(name.endswith("weights.bin") for name in objects(client, bucket)) == 2
        assert bool(unfinished) != is_there
    else:
        assert bool(unfinished) == (kind == "part")
    for upload in unfinished:  # what the bucket's rule does after a week
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    # Whoever comes next makes it whole, and takes away what the killed one left.
    publish_model(target, tmp_path / "model", 3)
    table.verify()
    assert table.manifest().recipe.code_version == "3"


def test_files_of_a_killed_writer_go_when_they_are_old(
    server: SwiftServer, client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Lake(f"s3://{bucket}/lake", options(server))
    publish(target, "raw/one", 1)
    left = "lake/raw/one/shard/part-00000-0123456789abcdef.parquet"
    client.put_object(Bucket=bucket, Key=left, Body=b"of a writer that was killed before its manifest")
    publish(target, "raw/one", 2)
    assert left in objects(client, bucket), "it may belong to a publication that is still under way"
    monkeypatch.setattr(lake, "ORPHAN_AGE_S", -1)
    publish(target, "raw/one", 3)
    assert set(objects(client, bucket)) == {
        f"lake/raw/one/shard/{name}" for name in ("manifest.json", target.table("raw/one", "shard").files()[0].name)
    }


def test_an_answer_that_does_not_come_is_asked_for_again(
    server: SwiftServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(filesystem.S3_CLIENT, "read_timeout", 1)
    faults = Faults(seed=3, kinds=("get", "put", "list"), faults=("silent",))
    with faulty_proxy(server.endpoint, faults) as running:
        target = Lake(f"s3://{bucket}/lake", options(server, running.endpoint))
        publish(target, "raw/one", 1)
        target.table("raw/one", "shard").verify()
        assert {kind for kind, _ in running.given} == {"get", "put", "list"}


COMMANDS = {
    "run": ["run", "--sources", "SOURCES", "--root", "ROOT"],
    "trace": ["trace", "0" * 32, "--lake", "ROOT"],
    "catalog": ["catalog", "--lake", "ROOT"],
    "export": ["export", "--lake", "ROOT", "--output", "OUTPUT"],
    "take-down": ["take-down", "--list", "--lake", "ROOT"],
}
REFUSALS = {
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "lake-of-refusals", "PermissionError"),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "nobody"}, "lake-of-refusals", "PermissionError"),
    "no key": ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "lake-of-refusals", "credentials"),
    "no such bucket": ({}, "no-such-bucket", "bucket does not exist"),
    "no server": ({"AWS_ENDPOINT_URL": "CLOSED"}, "lake-of-refusals", "connect"),
}


@pytest.fixture(scope="module")
def of_refusals(client: Any) -> None:
    client.create_bucket(Bucket="lake-of-refusals")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_one_line_with_the_uri(
    of_refusals: None,
    other_aws: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    refusal: str,
) -> None:
    monkeypatch.setitem(filesystem.S3_CLIENT, "retries", {"mode": "standard", "total_max_attempts": 1})
    monkeypatch.chdir(tmp_path)
    variables, bucket, words = REFUSALS[refusal]
    closed = f"http://127.0.0.1:{free_ports(1)[0]}"
    other_aws(**{name: closed if value == "CLOSED" else value for name, value in variables.items()})
    root = f"s3://{bucket}/lake"
    (tmp_path / "sources.yaml").write_text(f"root: {root}\nsources: {{}}\n")
    places = {"SOURCES": str(tmp_path / "sources.yaml"), "ROOT": root, "OUTPUT": str(tmp_path / "out")}
    assert main([places.get(argument, argument) for argument in COMMANDS[command]]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"mathcode {command}: {root}") and words.lower() in told.lower()
    assert "\n" not in told and "wrong" not in told


def test_a_source_that_refuses_is_one_line_with_the_address(
    of_refusals: None, other_aws: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other_aws(AWS_SECRET_ACCESS_KEY="wrong")
    sources = tmp_path / "sources.yaml"
    sources.write_text('sources: {cc_en: {uri: "s3://lake-of-refusals/*.jsonl"}}\n')
    assert main(["run", "--sources", str(sources), "--root", str(tmp_path / "lake")]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("mathcode run: sources.cc_en: s3://lake-of-refusals/*.jsonl: ")


def test_publishing_without_a_bucket_names_the_file(server: SwiftServer) -> None:
    target = Lake("s3://no-such-bucket/lake", options(server))
    assert target.table("raw/one", "shard").find_manifest() is None
    with pytest.raises(StorageError, match=r"^s3://no-such-bucket/lake/raw/one/shard/part-00000-.*bucket"):
        publish(target, "raw/one", 1)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.005)  # between two looks at a condition

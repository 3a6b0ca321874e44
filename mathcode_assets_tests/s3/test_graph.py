"""The graph with its sources and its lake on S3: the same bytes as on a local disk, by few requests."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest
import zstandard

from mathcode_assets.cli import main
from mathcode_assets.defs.drive import DriveReport
from mathcode_assets.sample import sample_dir
from mathcode_assets.storage.catalog import iter_manifests
from mathcode_assets.storage.lake import Lake
from mathcode_assets_tests.s3.conftest import objects
from mathcode_assets_tests.s3.faulty_proxy import FaultyProxy
from mathcode_assets_tests.s3.small_graph import SmallGraph, put_sources

SOURCES, LAKE = "sources", "corpus"
ROOT = f"s3://{LAKE}/lake"
PILE = "mixture/mathcode_pile"
CHANGED, PAGES = "maths_college.0000", "open_web_math[train-00000-of-00002]"
BEFORE_CLEAN = ("raw/", "filtered/", "attributes/fingerprints/open", "attributes/contamination/open", "attributes/open")
RECORD = ("--asked-by", "an author", "--reason", "mine", "--date", "2026-11-22")
# What belongs to a lake's machine and not to the lake.
LOCAL_ONLY = (".dagster", ".generation")

pytestmark = pytest.mark.timeout(1800)  # its set-up drives two graphs


@dataclass(frozen=True, slots=True)
class Lakes:
    """The same graph on a local disk and on S3, with the report of the first drive of each."""

    local: SmallGraph
    remote: SmallGraph
    first: DriveReport


@pytest.fixture(scope="module")
def lakes(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    folder = tmp_path_factory.mktemp("graph")
    for name in (SOURCES, LAKE):
        client.create_bucket(Bucket=name)
    put_sources(client, SOURCES, folder / "sources.yaml")
    local = SmallGraph(str(folder / "lake"), folder / "sources.yaml", folder / "local-home")
    remote = SmallGraph(ROOT, folder / "sources.yaml", folder / "remote-home")
    with local.driven_meanwhile():
        first = remote.drive()
    return Lakes(local=local, remote=remote, first=first)


@pytest.fixture
def counted(proxy: FaultyProxy) -> Iterator[Counter[str]]:
    """Requests of the test so far, by kind, from when it is asked."""
    proxy.requests.clear()
    yield proxy.requests


def on_disk(root: str) -> dict[str, str]:
    """sha256 of every file of a local lake, by its path below the root."""
    files = [path for path in Path(root).rglob("*") if path.is_file() and path.suffix != ".duckdb"]
    kept = [path for path in files if not set(LOCAL_ONLY) & set(path.parts)]
    return {path.relative_to(root).as_posix(): sha256(path.read_bytes()) for path in kept}


def in_bucket(client: Any) -> dict[str, str]:
    return {key: sha256(content) for key, content in objects(client, LAKE, "lake/").items()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def versions(lake: Lake) -> dict[str, str]:
    return {f"{manifest.key}[{manifest.partition}]": manifest.data_version for manifest in iter_manifests(lake)}


def rows(lake: Lake, key: str, columns: list[str]) -> list[dict[str, Any]]:
    return [row for batch in lake.table(key).batches(columns=columns) for row in batch.to_pylist()]


def test_every_file_on_s3_is_the_local_lakes(lakes: Lakes, client: Any) -> None:
    assert lakes.first.failures == []
    assert lakes.first.is_complete
    local, remote = on_disk(lakes.local.root), in_bucket(client)
    assert remote == local
    manifests = [path for path in remote if path.endswith("/manifest.json")]
    assert len(manifests) > 50
    kinds = {path.split("/")[0] for path in remote}
    assert {"raw", "filtered", "models", "promoted", "index", "clean", "translated", "mixture", "tokens"} <= kinds


def test_a_second_drive_makes_nothing_and_asks_little(lakes: Lakes, client: Any, counted: Counter[str]) -> None:
    before = in_bucket(client)
    report = lakes.remote.drive()
    assert (report.materialized, report.failures) == (0, [])
    assert report.unchanged > 50 and report.is_complete
    asked = sum(counted.values())
    assert in_bucket(client) == before
    assert counted["put"] == counted["delete"] == counted["part"] == 0
    # Each table is listed once, each manifest read once and each file once, to compare its bytes; each source is
    # listed by the three jobs that look at it and by the drive.
    n_files = len(before)
    assert asked < 2.5 * n_files, f"{dict(counted)} for {n_files} objects"


def test_the_catalog_is_read_through_fsspec(lakes: Lakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lake.duckdb"
    assert main(["catalog", "--lake", ROOT, "--output", str(path)]) == 0
    assert f"duckdb {path}" in capsys.readouterr().out
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.register_filesystem(fsspec.filesystem("s3"))
        found = connection.sql("SELECT doc_id FROM mixture__mathcode_pile").fetchall()
    assert [row["doc_id"] for row in rows(lakes.remote.workspace.lake, PILE, ["doc_id"])] == [row[0] for row in found]


def test_trace_says_the_same_of_both(lakes: Lakes, capsys: pytest.CaptureFixture[str]) -> None:
    doc_id = rows(lakes.remote.workspace.lake, PILE, ["doc_id"])[0]["doc_id"]
    told = []
    for root in (ROOT, lakes.local.root):
        assert main(["trace", doc_id, "--lake", root]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "in the pile" in told[0]


def test_the_export_is_the_same_of_both(lakes: Lakes, client: Any, tmp_path: Path) -> None:
    assert main(["export", "--lake", lakes.local.root, "--output", str(tmp_path / "local")]) == 0
    assert main(["export", "--lake", ROOT, "--output", str(tmp_path / "remote")]) == 0
    assert main(["export", "--lake", ROOT, "--output", f"s3://{LAKE}/export"]) == 0
    local = on_disk(str(tmp_path / "local"))
    assert local and on_disk(str(tmp_path / "remote")) == local
    assert {key: sha256(content) for key, content in objects(client, LAKE, "export/").items()} == local


def test_a_changed_source_and_a_take_down_change_what_they_touch(
    lakes: Lakes, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = lakes.remote.workspace.lake
    before = versions(lake)
    add_record(client, f"synthetic/{CHANGED}.jsonl.zst")
    page = next(row for row in rows(lake, PILE, ["source_uri", "component"]) if row["component"] == "open_web_math")
    capsys.readouterr()
    for root in (ROOT, lakes.local.root):
        assert main(["take-down", "--url", page["source_uri"], "--lake", root, *RECORD]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[: len(told) // 2] == told[len(told) // 2 :]

    with lakes.local.driven_meanwhile():
        report = lakes.remote.drive()
    assert report.failures == [] and report.is_complete
    now = versions(lake)
    touched = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    assert {f"raw/synthetic[{CHANGED}]", f"filtered/synthetic[{CHANGED}]", f"clean/{PAGES}", f"{PILE}[all]"} <= touched
    # Of the changed file, its own chain; of the page's shard, what follows from `clean`; of other shards, nothing.
    shards = {name for name in touched if not name.endswith(("[all]", f"[{CHANGED}]")) and "takedown/" not in name}
    assert all(name.endswith(PAGES.partition("open_web_math")[2]) for name in shards), shards
    assert not any(name.startswith(BEFORE_CLEAN) for name in shards), shards
    assert not any(name.startswith(("models/", "promoted/", "index/benchmarks")) for name in touched), touched
    assert page["source_uri"] not in {row["source_uri"] for row in rows(lake, PILE, ["source_uri"])}
    assert in_bucket(client) == on_disk(lakes.local.root)


def add_record(client: Any, key: str) -> None:
    """One more record at the end of a source file, of the form that the others have."""
    lines = zstandard.decompress((sample_dir() / "data" / key).read_bytes()).decode().splitlines()
    record = json.loads(lines[0])
    text = next(name for name, value in record.items() if isinstance(value, str) and len(value) > 200)
    added = "The area of a circle of radius $r$ is $\\pi r^2$, since $\\int_0^r 2 \\pi t\\,dt = \\pi r^2$ holds. " * 8
    lines.append(json.dumps(record | {text: added}))
    client.put_object(Bucket=SOURCES, Key=key, Body=zstandard.compress("\n".join([*lines, ""]).encode()))


@pytest.fixture(scope="module", autouse=True)
def _no_folder_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands may write into the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("here"))
        yield
    shutil.rmtree(folder)

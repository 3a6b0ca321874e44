"""hf:// addresses: how they are taken apart, and the real client against a small hub on 127.0.0.1.

The stand-in answers the four requests the client makes for reading a public data set (commit of a
revision, tree, paths, content). It shows that listing is pinned to a commit and that files are read
through the client; it cannot show gated data sets, redirects to a CDN or rate limits.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import fsspec
import fsspec.config
import pytest

from mathcode_assets.config import SourceSpec
from mathcode_assets.sources.errors import SourceListingError
from mathcode_assets.sources.hub import split_hub_uri
from mathcode_assets.sources.listing import check_unchanged, list_files
from mathcode_assets_tests.sources.conftest import Read


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("hf://datasets/o/n", ("datasets", "o/n", None, "")),
        ("hf://datasets/o/n/", ("datasets", "o/n", None, "")),
        ("hf://datasets/o/n/sub/*.parquet", ("datasets", "o/n", None, "sub/*.parquet")),
        ("hf://datasets/o/n@v1.0/a.jsonl", ("datasets", "o/n", "v1.0", "a.jsonl")),
        ("hf://datasets/o/n@feature%2Fx/a", ("datasets", "o/n", "feature%2Fx", "a")),
        ("hf://datasets/o/n@refs/convert/parquet", None),
        ("hf://datasets/o/n@refs/pr/3/a.jsonl", ("datasets", "o/n", "refs/pr/3", "a.jsonl")),
        ("hf://o/n/a", ("", "o/n", None, "a")),
        ("hf://spaces/o/n/a", ("spaces", "o/n", None, "a")),
    ],
)
def test_an_address_in_its_parts(uri: str, parts: tuple[str, str, str | None, str] | None) -> None:
    assert split_hub_uri(uri) == (parts or ("datasets", "o/n", "refs/convert/parquet", ""))


@pytest.mark.parametrize(
    "uri",
    ["hf://", "hf://datasets", "hf://datasets/o", "hf://datasets/o/", "hf://datasets/o/n@/a", "hf://o/@x"],
)
def test_an_address_without_a_repository_is_refused(uri: str) -> None:
    with pytest.raises(SourceListingError, match="an address on the hub is hf://datasets/OWNER/NAME"):
        split_hub_uri(uri)


class Hub:
    """Commits of one data set `o/n`: what each branch points at, and the files of each commit."""

    def __init__(self) -> None:
        self.branches: dict[str, str] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.is_gated = False

    def push(self, files: dict[str, bytes], branch: str = "main") -> str:
        commit = hashlib.sha1(json.dumps([len(self.commits), sorted(files)]).encode()).hexdigest()
        self.branches[branch], self.commits[commit] = commit, dict(files)
        return commit

    def files(self, revision: str) -> dict[str, bytes] | None:
        return self.commits.get(self.branches.get(revision, revision))

    def entry(self, path: str, data: bytes) -> dict[str, object]:
        entry: dict[str, object] = {
            "type": "file",
            "path": path,
            "size": len(data),
            "oid": hashlib.sha1(data).hexdigest(),
        }
        if path.endswith(".parquet"):  # large files are stored apart, with a sha256 of their own
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 100}
        return entry

    def tree(self, files: dict[str, bytes], folder: str, is_recursive: bool) -> list[dict[str, object]]:
        below = {path: data for path, data in files.items() if not folder or path.startswith(f"{folder}/")}
        found: dict[str, dict[str, object]] = {}
        for path, data in below.items():
            rest = path[len(folder) :].lstrip("/").split("/")
            for depth in range(1, len(rest)):
                name = "/".join([*([folder] if folder else []), *rest[:depth]])
                if is_recursive or depth == 1:
                    found[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
            if is_recursive or len(rest) == 1:
                found[path] = self.entry(path, data)
        return list(found.values())


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def json(self, value: object) -> None:
            self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

        def missing(self, code: str) -> None:
            self.answer(404, b"{}", X_Error_Code=code, X_Error_Message=code)

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            url = urlsplit(self.path)
            parts = [unquote(part) for part in url.path.strip("/").split("/")]
            if parts[:1] == ["api"]:
                self.api(parts[4:], parse_qs(url.query), parts[2:4], sent)
            elif parts[:3] == ["datasets", "o", "n"]:
                self.content(parts[4], "/".join(parts[5:]))
            else:
                self.missing("RepoNotFound")

        do_HEAD = do_POST = do_GET

        def api(self, parts: list[str], query: dict[str, list[str]], repository: list[str], sent: bytes) -> None:
            if repository != ["o", "n"]:
                return self.missing("RepoNotFound")
            revision = parts[1] if len(parts) > 1 else "main"
            files = hub.files(revision)
            if files is None:
                return self.missing("RevisionNotFound")
            sha = hub.branches.get(revision, revision)
            if not parts or parts[0] == "revision":
                return self.json({"id": "o/n", "sha": sha, "siblings": []})
            if hub.is_gated:
                refused = "Access to dataset o/n is restricted. Ask for access on its page."
                return self.answer(403, b"{}", X_Error_Code="GatedRepo", X_Error_Message=refused)
            if parts[0] == "paths-info":
                wanted = json.loads(sent)["paths"] if sent.startswith(b"{") else parse_qs(sent.decode())["paths"]
                return self.json([entry for entry in hub.tree(files, "", True) if entry["path"] in wanted])
            folder = "/".join(parts[2:])
            found = hub.tree(files, folder, query.get("recursive", [""])[0].lower() == "true")
            return self.json(found) if found else self.missing("EntryNotFound")

        def content(self, revision: str, path: str) -> None:
            files = hub.files(revision)
            if files is None or path not in files:
                return self.missing("EntryNotFound")
            data = files[path]
            tags = {
                "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
                "X_Repo_Commit": hub.branches.get(revision, revision),
                "Accept_Ranges": "bytes",
            }
            span = self.headers.get("Range")
            if not span:
                return self.answer(200, data, **tags)
            first, _, last = span.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
            part = data[start : end + 1]
            return self.answer(206, part, Content_Range=f"bytes {start}-{end}/{len(data)}", **tags)

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": endpoint, "token": False})
    yield hub
    server.shutdown()
    server.server_close()


def spec(*uris: str, revision: str | None = None) -> SourceSpec:
    return SourceSpec(key="cc_en", uris=uris, revision=revision)


LINE = b'{"id": "1", "text": "one"}\n'


def test_listing_is_pinned_to_the_commit_of_the_branch(hub: Hub, read: Read) -> None:
    commit = hub.push({"data/a.jsonl": LINE, "data/sub/b.parquet": b"PAR1...", "README.md": b"x"})
    first, second = list_files(spec("hf://datasets/o/n"))
    assert (first.relative_path, second.relative_path) == ("data/a.jsonl", "data/sub/b.parquet")
    assert first.revision == second.revision == commit
    assert first.uri == f"hf://datasets/o/n@{commit}/data/a.jsonl"
    assert first.address == "hf://datasets/o/n/data/a.jsonl"
    assert first.fingerprint == f"git:{hashlib.sha1(LINE).hexdigest()}"
    assert second.fingerprint == f"sha256:{hashlib.sha256(b'PAR1...').hexdigest()}"
    assert first.size_bytes == len(LINE)
    hub.push({"data/a.jsonl": b'{"id": "2", "text": "two"}\n'})
    (row,) = read(first).rows  # what was listed is what is read, though the branch has moved on
    assert (row["text"], row["source_revision"]) == ("one", commit)
    assert row["source_uri"] == "hf://datasets/o/n/data/a.jsonl#0"
    check_unchanged(first)


def test_a_new_commit_changes_the_fingerprint_of_changed_files_only(hub: Hub) -> None:
    hub.push({"a.jsonl": LINE, "b.jsonl": LINE})
    before = {file.relative_path: file for file in list_files(spec("hf://datasets/o/n"))}
    commit = hub.push({"a.jsonl": LINE, "b.jsonl": LINE * 2, "c.jsonl": LINE})
    after = {file.relative_path: file for file in list_files(spec("hf://datasets/o/n"))}
    assert after["a.jsonl"].fingerprint == before["a.jsonl"].fingerprint
    assert after["b.jsonl"].fingerprint != before["b.jsonl"].fingerprint
    assert {file.revision for file in after.values()} == {commit}
    assert sorted(after) == ["a.jsonl", "b.jsonl", "c.jsonl"]


def test_globs_and_single_files(hub: Hub) -> None:
    hub.push({"cc_en.0.jsonl": LINE, "cc_en.1.jsonl": LINE, "book_math.0.jsonl": LINE})
    assert [f.relative_path for f in list_files(spec("hf://datasets/o/n/cc_en*"))] == [
        "cc_en.0.jsonl",
        "cc_en.1.jsonl",
    ]
    (one,) = list_files(spec("hf://datasets/o/n/book_math.0.jsonl"))
    assert one.address == "hf://datasets/o/n/book_math.0.jsonl"


def test_a_revision_by_the_sources_file_or_by_the_address(hub: Hub, read: Read) -> None:
    old = hub.push({"a.jsonl": LINE}, branch="v1")
    hub.push({"a.jsonl": b'{"id": "2", "text": "two"}\n'})
    for found in (
        list_files(spec("hf://datasets/o/n", revision="v1")),
        list_files(spec("hf://datasets/o/n@v1")),
        list_files(spec(f"hf://datasets/o/n@{old}/*.jsonl")),
    ):
        assert [file.revision for file in found] == [old]
        assert read(found[0]).texts == ["one"]
    with pytest.raises(SourceListingError, match="names revision v1, the sources file v2"):
        list_files(spec("hf://datasets/o/n@v1", revision="v2"))


@pytest.mark.parametrize(
    "uri",
    [
        "hf://datasets/o/none",
        "hf://datasets/o/n@none",
        "hf://datasets/o/n/none.jsonl",
        "hf://datasets/o/n/x*",
    ],
)
def test_what_is_not_there_is_one_line(hub: Hub, uri: str) -> None:
    hub.push({"a.jsonl": LINE})
    with pytest.raises(SourceListingError, match=r"^sources\.cc_en: hf://datasets/o/n") as caught:
        list_files(spec(uri))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["hf://datasets/o/n", "hf://datasets/o/n/a.jsonl", "hf://datasets/o/n/*.jsonl"])
def test_a_gated_data_set_says_that_access_is_refused(hub: Hub, uri: str) -> None:
    hub.push({"a.jsonl": LINE})
    hub.is_gated = True
    with pytest.raises(SourceListingError, match=r"^sources\.cc_en: hf://datasets/o/n.*restricted") as caught:
        list_files(spec(uri))
    assert "\n" not in str(caught.value)

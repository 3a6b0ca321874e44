from __future__ import annotations

from pathlib import Path

import pytest

from mathcode_assets.config import (
    SOURCE_KEYS,
    SourcesFileError,
    default_public_sources,
    load_sources,
    parse_sources,
)

FULL = """
root: ./lake
sources:
  open_web_math: {uri: "data/owm/*.parquet"}
  cc_en: {uri: "data/cc/*.jsonl.zst", labels: "data/cc/labels.parquet", licence: "CC-BY-4.0"}
  synthetic: {uri: ["a/*.jsonl", "s3://bucket/b/*.jsonl"], accept_contaminated: ["leaky"], exclude: ["bad"]}
  textbooks: {uri: "books/*.pdf"}
  starcoder_python: {uri: "hf://datasets/x/y/python", revision: "v1", groups: 3}
benchmarks: {uri: "bench/*.jsonl", exclude: [draft]}
settings:
  decontamination: {share: 0.05}
  mixture:
"""


def test_a_full_file(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(FULL)
    found = load_sources(path)
    assert found.root == str(tmp_path / "lake")
    assert list(found.sources) == [key for key in SOURCE_KEYS if key in found.sources]
    assert found.sources["open_web_math"].uris == (str(tmp_path / "data/owm/*.parquet"),)
    assert found.sources["open_web_math"].written_uris == ("data/owm/*.parquet",)
    assert found.sources["cc_en"].labels == (str(tmp_path / "data/cc/labels.parquet"),)
    assert found.sources["cc_en"].licence == "CC-BY-4.0"
    assert found.sources["synthetic"].uris == (str(tmp_path / "a/*.jsonl"), "s3://bucket/b/*.jsonl")
    assert found.sources["synthetic"].accept_contaminated == ("leaky",)
    assert found.sources["synthetic"].exclude == ("bad",)
    assert found.sources["starcoder_python"].revision == "v1"
    assert found.sources["starcoder_python"].groups == 3
    assert found.benchmarks is not None
    assert found.benchmarks.exclude == ("draft",)
    assert found.settings == {"decontamination": {"share": 0.05}, "mixture": {}}


def test_relative_addresses_are_relative_to_the_file_wherever_the_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "conf" / "s.yaml").write_text('sources: {cc_en: {uri: "../data/*.jsonl"}}')
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = load_sources(Path("../conf/s.yaml"))
    assert Path(found.sources["cc_en"].uris[0]).parent.resolve() == (tmp_path / "data").resolve()
    assert Path(found.root).resolve() == (tmp_path / "conf" / "lake").resolve()


def test_text_without_a_file_is_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_sources("sources: {cc_en: {uri: d}}").sources["cc_en"].uris == (str(tmp_path / "d"),)


@pytest.mark.parametrize("root", ["s3://bucket/prefix", "/abs/lake", "memory://lake"])
def test_an_absolute_root_stays_as_it_is(root: str) -> None:
    assert parse_sources(f"root: {root}\nsources: {{}}").root == root


def test_a_source_that_is_not_named_is_not_there() -> None:
    found = parse_sources("sources: {}")
    assert found.sources == {}
    assert found.benchmarks is None


def test_textbooks_are_grouped_unless_told_otherwise() -> None:
    assert parse_sources("sources: {textbooks: {uri: x}}").sources["textbooks"].groups == 4
    assert parse_sources("sources: {textbooks: {uri: x, groups: null}}").sources["textbooks"].groups is None
    assert parse_sources("sources: {cc_en: {uri: x}}").sources["cc_en"].groups is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: {ccen: {uri: x}}", "sources.ccen: unknown key; did you mean cc_en?"),
        ("sources: {zzz: {uri: x}}", "sources.zzz: unknown key; known are open_web_math"),
        ("source: {}", "source: unknown key; did you mean sources?"),
        ("root: x", "sources: is missing"),
        ("", "sources: is missing"),
        ("sources: {cc_en: {}}", "sources.cc_en.uri: is missing"),
        ("sources: {cc_en: }", "sources.cc_en.uri: is missing"),
        ("sources: {cc_en: {uri: []}}", "sources.cc_en.uri: is missing"),
        ("sources: {cc_en: {uri: ' '}}", "sources.cc_en.uri: is empty"),
        (
            "sources: {cc_en: {uri: 3}}",
            "sources.cc_en.uri: wants a string, got a number (write it in quotes)",
        ),
        ("sources: {cc_en: {uri: {a: b}}}", "sources.cc_en.uri: wants a string, got a mapping"),
        ("sources: {cc_en: {uri: [a, 3]}}", "sources.cc_en.uri[1]: wants a string, got a number"),
        ("sources: {cc_en: {uri: [a, a]}}", "sources.cc_en.uri: a is given twice"),
        ("sources: {cc_en: path}", "sources.cc_en: wants a mapping, got a string"),
        ("sources: [cc_en]", "sources: wants a mapping, got a list"),
        ("- a", "wants a mapping, got a list"),
        ("just words", "wants a mapping, got a string"),
        ("sources: {cc_en: {uri: x, lables: y}}", "sources.cc_en.lables: unknown key; did you mean labels?"),
        ("sources: {cc_en: {uri: x, groups: 0}}", "sources.cc_en.groups: wants 1 to 2000, got 0"),
        (
            "sources: {cc_en: {uri: x, groups: many}}",
            "sources.cc_en.groups: wants a whole number, got a string",
        ),
        (
            "sources: {cc_en: {uri: x, groups: true}}",
            "sources.cc_en.groups: wants a whole number, got true/false",
        ),
        (
            "sources: {cc_en: {uri: x, exclude: [0001]}}",
            "sources.cc_en.exclude[0]: wants a string, got a number",
        ),
        ("sources: {cc_en: {uri: x, revision: main}}", "sources.cc_en.revision: only an hf:// address"),
        ("sources: {1: {uri: x}}", "sources: wants names as keys, got a number 1"),
        ("sources: {}\nbenchmarks: {uri: x, labels: y}", "benchmarks.labels: unknown key"),
        ("sources: {}\nbenchmarks: x", "benchmarks: wants a mapping, got a string"),
        ("sources: {}\nroot: 3", "root: wants a string, got a number"),
        ("sources: {}\nsettings: [a]", "settings: wants a mapping, got a list"),
        ("sources: {}\nsettings: {mixture: 3}", "settings.mixture: wants a mapping, got a number"),
        ("sources: {cc_en: {uri: x}, cc_en: {uri: y}}", "key 'cc_en' is given twice"),
        ("sources: {cc_en: {uri: x}", "not valid YAML"),
        ("sources:\n\t- x", "not valid YAML"),
        ("sources: &a {cc_en: *b}", "not valid YAML"),
        ("sources: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("sources: {? [a] : b}", "not valid YAML"),
        ("[" * 5_000, "not valid YAML"),
        ("x: \x00", "not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_the_key(text: str, said: str) -> None:
    with pytest.raises(SourcesFileError) as caught:
        parse_sources(text, name="my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    assert said in message
    assert "\n" not in message


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(SourcesFileError, match=r"none\.yaml: cannot be read: No such file"):
        load_sources(tmp_path / "none.yaml")
    with pytest.raises(SourcesFileError, match="cannot be read: Is a directory"):
        load_sources(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"root: \xe9")
    with pytest.raises(SourcesFileError, match=r"latin\.yaml: not UTF-8 text \(byte 6\)"):
        load_sources(tmp_path / "latin.yaml")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfsources: {cc_en: {uri: x}}")
    assert list(load_sources(tmp_path / "s.yaml").sources) == ["cc_en"]


def test_the_shipped_file_names_every_public_data_set(tmp_path: Path) -> None:
    found = default_public_sources(tmp_path)
    assert set(found.sources) == set(SOURCE_KEYS) - {"textbooks"}
    assert all(uri.startswith("hf://datasets/") for spec in found.sources.values() for uri in spec.uris)
    assert found.root == str(tmp_path / "lake")

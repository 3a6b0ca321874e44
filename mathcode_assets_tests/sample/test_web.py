"""The embedded sample's web documents and benchmarks: as committed, as built again, as planted."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
import zstandard

from mathcode_assets.sample import build, sample_dir

MINE = ("open_web_math", "cc_en", "benchmarks")
MANIFEST = build.load_manifest()
DOCUMENTS = {document.name: document for document in build.load_documents(MANIFEST)}
SHARDS = [(component, shard) for component, n in build.N_SHARDS.items() for shard in range(n)]
DATA = sample_dir() / "data"


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def jaccard(left: str, right: str, n: int = 5) -> float:
    sets = [{tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in (words(left), words(right))]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def containment(question: str, text: str, n: int = 5) -> float:
    grams = [{tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in (words(question), words(text))]
    return len(grams[0] & grams[1]) / len(grams[0])


def benchmark(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / "benchmarks" / f"{name}.jsonl").read_text("utf-8").splitlines()]


def question_of(entry: dict) -> str:
    source = yaml.safe_load((build.SOURCE_TEXT / "benchmarks" / f"{entry['benchmark']}.yaml").read_text("utf-8"))
    return source["items"][entry["idx"]]["question"]


def cc_en_lines(shard: int) -> list[str]:
    data = (DATA / "cc_en" / f"cc_en.{shard:04d}.jsonl.zst").read_bytes()
    return zstandard.ZstdDecompressor().decompress(data).decode().split("\n")[:-1]


def cc_en_records(shard: int) -> list[dict]:
    records = []
    for line in cc_en_lines(shard):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record["text"]:
            records.append(record)
    return records


@pytest.fixture(scope="module")
def built_twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    build.build(first)
    build.build(second)
    return first, second


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in MINE
        for path in sorted((folder / name).iterdir())
    }


def test_building_twice_gives_the_same_bytes(built_twice):
    assert files_in(built_twice[0]) == files_in(built_twice[1])


def test_committed_files_are_what_the_sources_give(built_twice):
    built, committed = files_in(built_twice[0]), files_in(DATA)
    assert built.keys() == committed.keys()
    zstd = ".".join(map(str, zstandard.ZSTD_VERSION))
    if {"pyarrow": version("pyarrow"), "zstd": zstd} == build.BUILT_WITH:
        assert [name for name in built if built[name] != committed[name]] == []
        return
    for name in built:  # another writer: the same rows in other bytes
        if name.endswith(".parquet"):
            assert pq.read_table(built_twice[0] / name).equals(pq.read_table(DATA / name))
        elif name.endswith(".zst"):
            decompress = zstandard.ZstdDecompressor().decompress
            assert decompress(built[name]) == decompress(committed[name])
        else:
            assert built[name] == committed[name]


def test_open_web_math_has_its_columns():
    for shard in range(2):
        table = pq.read_table(DATA / "open_web_math" / f"train-{shard:05d}-of-00002.parquet")
        assert table.schema.names == ["url", "text", "date", "metadata"]
        assert table.num_rows == 14
        for row in table.to_pylist():
            assert json.loads(row["metadata"])["provenance"]["license"] == "CC0-1.0"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", row["date"])


def test_mathematics_kinds_and_lengths():
    kinds = {name: [d.kind for d in DOCUMENTS.values() if d.component == name and not d.copy_of] for name in MINE[:2]}
    count = {name: {kind: of.count(kind) for kind in ("math", "borderline", "other")} for name, of in kinds.items()}
    assert count == {
        "open_web_math": {"math": 20, "borderline": 4, "other": 4},
        "cc_en": {"math": 15, "borderline": 4, "other": 21},
    }
    lengths = [len(document.text.split()) for document in DOCUMENTS.values()]
    assert min(lengths) >= 150
    assert max(lengths) >= 1_500
    assert all(document.label == ("math" if document.kind == "math" else "other") for document in DOCUMENTS.values())


def test_every_address_is_of_a_reserved_name():
    for document in DOCUMENTS.values():
        assert re.match(r"https://[a-z.-]+\.example/", document.url)
    assert len({document.url for document in DOCUMENTS.values()}) == len(DOCUMENTS)


def test_labels_cover_every_document_and_no_host_is_in_both_splits():
    rows = pq.read_table(DATA / "cc_en" / "labels.parquet").to_pylist()
    by_id = {row["id"]: row for row in rows}
    ids = [record["id"] for shard in range(3) for record in cc_en_records(shard)]
    for shard in range(2):
        name = f"train-{shard:05d}-of-00002.parquet"
        for row, url in enumerate(pq.read_table(DATA / "open_web_math" / name)["url"].to_pylist()):
            ids.append(f"{name}#{row}")
            assert by_id[ids[-1]]["url"] == url
    assert len(rows) == len(by_id)
    assert sorted(ids) == sorted(by_id)
    hosts = {split: {row["source"] for row in rows if row["split"] == split} for split in ("train", "test")}
    assert not hosts["train"] & hosts["test"]
    for split in hosts:
        for component in MINE[:2]:
            labels = {r["label"] for r in rows if (r["split"], r["component"]) == (split, component)}
            assert labels == {"math", "other"}


def test_broken_records_are_where_the_manifest_says():
    lines = cc_en_lines(1)
    for entry in MANIFEST["broken_records"]:
        position = lines.index(entry["line"])
        assert json.loads(lines[position + 1])["id"] == entry["before"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(MANIFEST["broken_records"][0]["line"])
    assert [len(cc_en_lines(shard)) - len(cc_en_records(shard)) for shard in range(3)] == [0, 3, 0]


def test_line_separator_is_inside_a_line_and_carriage_returns_are_kept():
    texts = {record["id"]: record["text"] for shard in range(3) for record in cc_en_records(shard)}
    assert texts["ccen-023"].count("\u2028") == 2
    assert any("\u2028" in line for line in cc_en_lines(1))  # not escaped, so careless readers split here
    assert texts["ccen-005"].count("\r\n") == texts["ccen-005"].count("\n") > 10


def test_exact_copies_are_equal_and_near_copies_nearly():
    copies = [document for document in DOCUMENTS.values() if document.copy_of]
    assert sorted(document.copy_kind for document in copies) == ["exact", "exact", "near", "near"]
    for document in copies:
        original = DOCUMENTS[document.copy_of]
        assert (document.component, document.shard) != (original.component, original.shard)
        if document.copy_kind == "exact":
            assert document.text == original.text
        else:
            assert 0.85 < jaccard(document.text, original.text) < 1


def test_nothing_else_is_alike():
    originals = [document for document in DOCUMENTS.values() if not document.copy_of]
    for i, left in enumerate(originals):
        for right in originals[i + 1 :]:
            assert jaccard(left.text, right.text) < 0.05, (left.name, right.name)


def test_planted_questions_are_in_their_documents():
    for entry in MANIFEST["contamination"]:
        question, text = question_of(entry), DOCUMENTS[entry["document"]].text
        if entry["kind"] in ("verbatim", "with_solution", "short"):
            assert question in text
        elif entry["kind"] in ("formatting", "split_paragraphs"):
            assert question not in text
            assert " ".join(words(question)) in " ".join(words(text))
        elif entry["kind"] == "truncated_70":
            kept = words(question)[: round(0.7 * len(words(question)))]
            assert " ".join(kept) in " ".join(words(text))
            assert " ".join(words(question)) not in " ".join(words(text))
        else:
            assert entry["kind"] == "number_substitution"
            assert 0.3 < containment(question, text) < 0.9


def test_controls_do_not_hold_their_question():
    for entry in MANIFEST["controls"]:
        assert containment(question_of(entry), DOCUMENTS[entry["document"]].text) < 0.5, entry


def test_no_other_document_holds_a_question():
    listed = {(e["document"], e["benchmark"], e["idx"]) for e in MANIFEST["contamination"] + MANIFEST["controls"]}
    for path in sorted((build.SOURCE_TEXT / "benchmarks").glob("*.yaml")):
        for idx, item in enumerate(yaml.safe_load(path.read_text("utf-8"))["items"]):
            if len(words(item["question"])) < 13:
                continue
            for document in DOCUMENTS.values():
                if (document.name, path.stem, idx) not in listed:
                    assert containment(item["question"], document.text) < 0.3, (document.name, path.stem, idx)


@pytest.mark.parametrize(("component", "shard"), SHARDS)
def test_contaminated_share_of_every_shard(component, shard):
    documents = build.shard_of(list(DOCUMENTS.values()), component, shard)
    planted = {e["document"] for e in MANIFEST["contamination"] if e["expected"] == "contaminated"}
    n_contaminated = sum(document.name in planted for document in documents)
    told = MANIFEST["contaminated_share"][build.file_name(component, shard)]
    assert told == {
        "contaminated": n_contaminated,
        "documents": len(documents),
        "share": round(n_contaminated / len(documents), 3),
    }
    # Filters drop what is no mathematics, deduplication drops copies: the share of the rest counts as well.
    rest = [document for document in documents if document.kind == "math" and not document.copy_of]
    assert n_contaminated / len(rest) <= 0.2


def test_refuted_computations_are_in_their_documents_and_wrong():
    assert len(MANIFEST["refuted"]) == 4
    for entry in MANIFEST["refuted"]:
        assert f"{entry['expression']} = {entry['stated']}" in DOCUMENTS[entry["document"]].text
        assert entry["stated"] != entry["right"]


def test_benchmarks_have_their_fields():
    sizes = {"sample_word_problems": 40, "sample_competition": 30, "sample_multiple_choice": 24}
    for name, size in sizes.items():
        items = benchmark(name)
        assert [item["idx"] for item in items] == list(range(size))
        assert all(item["question"].strip() and item["answer"] and item["solution"] for item in items)
        assert len({item["question"] for item in items}) == size
    short = [item for item in benchmark("sample_competition") if len(item["question"].split()) < 13]
    assert len(short) == 8
    for item in benchmark("sample_competition"):
        assert rf"\boxed{{{item['answer']}}}" in item["solution"]


def test_one_benchmark_has_an_instruction_in_front_of_most_questions():
    instruction = "Read the question, choose the one correct option and write its letter in the box.\n"
    items = benchmark("sample_multiple_choice")
    assert sum(item["question"].startswith(instruction) for item in items) == 20
    for item in items:
        assert re.fullmatch(r"A\) .+ B\) .+ C\) .+ D\) .+", item["options"])
        assert item["answer"] in "ABCD"


def test_sources_file_names_all_seven_sources_and_finds_the_web_files():
    sources = yaml.safe_load((sample_dir() / "sources.yaml").read_text("utf-8"))
    assert sources["root"] == "./lake"
    assert len(sources["sources"]) == 7
    for spec, n_files in ((sources["sources"]["open_web_math"], 2), (sources["sources"]["cc_en"], 3)):
        assert len(list(sample_dir().glob(spec["uri"]))) == n_files
        assert (sample_dir() / spec["labels"]).is_file()
    assert len(list(sample_dir().glob(sources["benchmarks"]["uri"]))) == 3
    assert sources["settings"]["decontamination"]["max_contaminated_share"] == 0.25

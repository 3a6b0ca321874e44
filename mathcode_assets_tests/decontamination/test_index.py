import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathcode_assets.decontamination.index import build_index, load
from mathcode_assets.records import DOCUMENT, SchemaMismatch, empty_batch
from mathcode_assets_tests.decontamination.conftest import LIBRARY, ORCHARD, ROWS, batches, row

INSTRUCTION = "Solve the problem and put your answer in '\\boxed{}'. \n"


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_saved_and_loaded_it_is_the_same(index, tmp_path):
    index.save(tmp_path / "one")
    again = load(tmp_path / "one")
    assert again.version == index.version
    assert again.items.equals(index.items)
    assert again.hygiene == index.hygiene
    again.save(tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_order_and_batches_of_the_items_do_not_matter(rng: random.Random, size):
    rows = list(ROWS)
    rng.shuffle(rows)
    assert build_index(batches(rows, size)).version == build_index(batches(ROWS)).version


def test_another_question_is_another_version(index):
    changed = [*ROWS[1:], row("village", 0, ORCHARD.replace("37", "38"))]
    assert build_index(batches(changed)).version != index.version


def test_loading_an_empty_folder_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path)


def test_an_index_of_another_format_is_refused(index, tmp_path):
    index.save(tmp_path)
    meta = tmp_path / "index.json"
    meta.write_text(meta.read_text().replace('"format": 2', '"format": 0'))
    with pytest.raises(ValueError, match="format 0"):
        load(tmp_path)


def test_two_items_of_one_number_are_refused():
    with pytest.raises(ValueError, match="two items with question_index 3"):
        build_index(batches([row("b", 3, "one question here"), row("b", 3, "another question there")]))


def test_only_benchmark_items_are_indexed():
    with pytest.raises(SchemaMismatch):
        build_index([empty_batch(DOCUMENT)])


def test_no_items_give_an_empty_index():
    assert len(build_index([])) == 0


def test_an_instruction_common_to_a_benchmark_is_found_and_removed():
    # Reference bug: every bundled GSM8K row starts with an instruction that is no part of the question.
    plain = [row("g", k, text) for k, text in enumerate([ORCHARD, LIBRARY, *(f"How {w} is it?" for w in "abcde")])]
    dressed = [{**r, "question": INSTRUCTION + r["question"]} for r in plain]
    built = build_index(batches(dressed))
    assert built.items["question"].to_pylist() == [r["question"] for r in plain]
    assert list(built.hygiene.instructions) == ["g"]


def test_an_instruction_at_the_end_is_removed_too():
    texts = [f"{t} Please reason step by step." for t in (ORCHARD, LIBRARY, "A b c d.", "E f g.", "H i j k.", "L m n.")]
    built = build_index(batches([row("g", k, t) for k, t in enumerate(texts)]))
    assert built.items["question"][0].as_py().endswith("after the spring planting")


def test_an_opening_of_a_few_words_is_language_and_stays():
    texts = [f"Write a function to {w} the list." for w in ("sort", "reverse", "copy", "sum", "scan", "split")]
    mixed = [t if k % 2 else t.replace("Write a function", "Write a python function") for k, t in enumerate(texts)]
    built = build_index(batches([row("m", k, t) for k, t in enumerate(mixed)]))
    assert built.hygiene.instructions == {}


def test_items_without_content_and_shared_items_are_reported(index):
    assert index.hygiene.without_content == ["school/2"]
    assert index.hygiene.shared == [["school/3", "village/2"]]

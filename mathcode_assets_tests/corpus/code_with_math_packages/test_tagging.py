"""The three subsets through `tag_code`, and rows of any schema through `filter_code_rows`."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mathcode_assets.corpus.code_with_math_packages.tagging import (
    CodeFilterConfig,
    CodeKind,
    filter_code_rows,
    packages_of,
    tag_code,
)
from mathcode_assets.records import DOCUMENT, FILTER_ATTRIBUTES, batch_of, check_batch

NOTEBOOK = (
    "<jupyter_start><jupyter_text># Roots\nWe `import statistics` later.<jupyter_code>%matplotlib inline\n"
    "from sympy import solve<jupyter_output><empty_output><jupyter_text>import cmath"
    "<jupyter_code>import scipy.stats as st\nst.norm()<jupyter_output>import fractions"
)


def documents(*texts: str, source: str = "starcoder_python", **metadata: object) -> pa.RecordBatch:
    rows = [
        {
            "doc_id": f"{number:032x}",
            "source": source,
            "source_id": str(number),
            "source_uri": "a.py",
            "source_file": "train.parquet",
            "source_row": number,
            "source_revision": "r",
            "licence": "unknown",
            "text": text,
            "source_metadata": json.dumps(metadata),
        }
        for number, text in enumerate(texts)
    ]
    return batch_of(rows, DOCUMENT)


def tags(batch: pa.RecordBatch) -> list[tuple[str, str, list[str]]]:
    (attributes,) = tag_code([batch])
    check_batch(attributes, FILTER_ATTRIBUTES)
    assert attributes.column("doc_id").equals(batch.column("doc_id"))
    return [(row["verdict"], row["reason"], row["labels"]) for row in attributes.to_pylist()]


def test_verdict_reason_and_sorted_labels_in_the_order_of_the_documents():
    batch = documents("import sympy, cmath", "import numpy", "'import sympy'")
    assert tags(batch) == [
        ("kept", "", ["cmath", "sympy"]),
        ("dropped", "no_math_package", []),
        ("dropped", "no_math_package", []),
    ]


def test_only_code_cells_of_a_notebook_count():
    assert tags(documents(NOTEBOOK)) == [("kept", "", ["scipy", "sympy"])]
    assert packages_of(NOTEBOOK, CodeKind.NOTEBOOK) == ["scipy", "sympy"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%%time\nimport sympy", ["sympy"]),
        ("%%timeit -n 3\nimport sympy", ["sympy"]),
        ("%%bash\nimport sympy", []),
        ("%%writefile a.py\nimport sympy", ["sympy"]),
        ("%%writefile a.txt\nimport sympy", []),
        ("!pip install scipy\nimport sympy", ["sympy"]),
        ("help?\nimport sympy", ["sympy"]),
    ],
)
def test_cell_magics(cell, expected):
    broken = "def half(:"  # a broken cell does not spoil its neighbours
    content = f"<jupyter_start><jupyter_code>{broken}<jupyter_output><empty_output><jupyter_code>{cell}"
    assert packages_of(content, CodeKind.NOTEBOOK) == expected


@pytest.mark.parametrize(
    ("lang", "reason"),
    [("Python", ""), ("python", ""), (None, ""), ("R", "not_python"), ("Julia", "not_python")],
)
def test_a_script_of_another_language_is_dropped(lang, reason):
    assert tags(documents("import sympy", source="starcoder_jupyter_scripts", lang=lang))[0][1] == reason


def test_a_wanted_package_is_configuration():
    (attributes,) = tag_code([documents("import mpmath, sympy")], CodeFilterConfig(packages=("mpmath",)))
    assert attributes.column("labels").to_pylist() == [["mpmath"]]


def test_a_text_of_fifty_megabytes():
    assert tags(documents("import sympy\nx = [" + "1, " * 17_000_000 + "]"))[0][2] == ["sympy"]


def test_rows_keep_their_columns_and_gain_packages():
    rows = pa.RecordBatch.from_pydict(
        {
            "id": [1, 2, 3, 4],
            "content": ["import sympy", "import os", None, NOTEBOOK],
            "license": ["MIT", "MIT", "MIT", "CC0-1.0"],
        }
    )
    (kept,) = filter_code_rows([rows])
    assert kept.to_pylist() == [
        {"id": 1, "content": "import sympy", "license": "MIT", "packages": ["sympy"]},
        {"id": 4, "content": NOTEBOOK, "license": "CC0-1.0", "packages": ["scipy", "sympy"]},
    ]


def test_rows_of_another_language_go():
    rows = pa.RecordBatch.from_pydict({"content": ["import sympy"] * 2, "lang": ["Python", "Scala"]})
    (kept,) = filter_code_rows([rows])
    assert kept.column("lang").to_pylist() == ["Python"]


@pytest.mark.parametrize(
    "columns", [{"text": ["import sympy"]}, {"content": [1]}], ids=["no content", "content of numbers"]
)
def test_rows_without_text_are_refused_in_words(columns):
    with pytest.raises(ValueError, match="content"):
        list(filter_code_rows([pa.RecordBatch.from_pydict(columns)]))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("subset", "n_kept"),
    [("python", 1270), ("jupyter-scripts-dedup-filtered", 229), ("jupyter-structured-clean-dedup", 229)],
)
def test_kept_of_real_code(shared_data, subset, n_kept):
    files = sorted((shared_data / "starcoder" / subset).glob("*.parquet"))
    batches = (batch for file in files for batch in pq.ParquetFile(file).iter_batches(500))
    assert sum(len(kept) for kept in filter_code_rows(batches)) == n_kept

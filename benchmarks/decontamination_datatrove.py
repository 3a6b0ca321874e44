"""Runs in the Python that has datatrove: its decontamination filter over texts, CPU seconds on stdout.

    PYTHON benchmarks/decontamination_datatrove.py TEXTS.jsonl QUESTIONS.jsonl

Its index builder insists on lighteval; the hashes are made with the filter's own tokenizer and hash, as that would.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from datatrove.data import Document  # pyrefly: ignore
from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter  # pyrefly: ignore
from datatrove.utils.text import ngrams, simplify_text  # pyrefly: ignore


def main() -> None:
    """Index the questions, filter the texts."""
    texts, questions = (
        [json.loads(line) for line in Path(name).read_text(encoding="utf-8").split("\n") if line]
        for name in sys.argv[1:3]
    )
    folder = Path(sys.argv[1]).parent / "datatrove-index"
    folder.mkdir(exist_ok=True)
    filtering = NGramsDecontFilter(str(folder), NGramsDecontConfig(find_query_ngrams=True))
    hashes = set()
    for question in questions:
        words = filtering.tokenizer.word_tokenize(simplify_text(question, filtering.config.norm_config))
        hashes |= {filtering.hash_func(" ".join(gram)) for gram in ngrams(words, filtering.config.n_grams)}
    np.array(sorted(hashes), filtering.config.hash_config.np_descr).tofile(folder / "all.index.hashes")
    documents = [Document(text=text, id=str(k)) for k, text in enumerate(texts)]
    filtering.filter(documents[0])
    start = time.process_time()
    found = sum(filtering.filter(document) is not True for document in documents)
    print(json.dumps({"seconds": time.process_time() - start, "found": found}))


if __name__ == "__main__":
    main()

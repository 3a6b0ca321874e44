"""translate, execute and verify as programs would chain them: plain files between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mathcode_assets.cli import main
from mathcode_assets.llm.generator import Completion
from mathcode_assets.llm.replay import record
from mathcode_assets.mathematical_code.passages import passages
from mathcode_assets.mathematical_code.prompts import TranslationConfig, request_for, titled_answer

TRUE = "A field measures $3 \\cdot 14 = 42$ acres, and $\\int_0^1 x^2 \\, dx = \\frac13$."
FALSE = "We find that $3 \\cdot 14 = 43$."


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_passage_is_translated_run_and_compared(tmp_path: Path) -> None:
    rows = [{"id": "true", "text": TRUE}, {"id": 7, "text": FALSE}, {"id": 8, "text": "-"}]
    texts = write(tmp_path / "in.jsonl", rows)
    assert run("translate", "--generator", "symbolic", "--input", texts, "--output", tmp_path / "t.jsonl") == 0
    computations = read(tmp_path / "t.jsonl")
    assert [(row["id"], row["computation"]) for row in computations] == [("true", 0), ("true", 1), (7, 0)]
    assert [row["result"] for row in computations] == ["42", "\\frac13", "43"]
    assert [TRUE[row["span_start"] : row["span_end"]] for row in computations[:2]] == [
        row["expression"] for row in computations[:2]
    ]

    programs = [{"id": number, "code": row["code"]} for number, row in enumerate(computations)]
    write(tmp_path / "programs.jsonl", programs)
    assert run("execute", "--input", tmp_path / "programs.jsonl", "--output", tmp_path / "e.jsonl") == 0
    executed = read(tmp_path / "e.jsonl")
    assert [(row["id"], row["status"]) for row in executed] == [(0, "ok"), (1, "ok"), (2, "ok")]

    claims = [
        {"id": row["id"], "gold": computation["result"], "output": row["stdout"]}
        for row, computation in zip(executed, computations, strict=True)
    ]
    write(tmp_path / "claims.jsonl", claims)
    assert run("verify", "--input", tmp_path / "claims.jsonl", "--output", tmp_path / "v.jsonl") == 0
    assert [row["verdict"] for row in read(tmp_path / "v.jsonl")] == ["verified", "verified", "refuted"]


def test_recorded_answers_are_read_and_what_does_not_parse_is_kept(tmp_path: Path) -> None:
    texts = ["What is 6 times 7?", "And 6 times 8?", "And 6 times 9?"]
    config = TranslationConfig(model="small", model_revision="1")
    keys = [request_for(next(passages(text, config.passages)), config).key for text in texts]
    answer = titled_answer(
        number=1, conditions="", expression="6 \\cdot 7", result="42", code="print(6 * 7)", language="python"
    )
    answers = [Completion(key=keys[0], text=answer), Completion(key=keys[1], text="I refuse.")]
    record(tmp_path / "answers.jsonl", answers)
    rows = write(tmp_path / "in.jsonl", [{"id": i, "text": text} for i, text in enumerate(texts)])
    model = ("--model", "small", "--revision", "1", "--replay", tmp_path / "answers.jsonl")
    arguments = ("translate", "--generator", "replay", *model, "--input", rows, "--output", tmp_path / "t.jsonl")
    assert run(*arguments) == 1  # one question was never recorded
    found = {row["id"]: row for row in read(tmp_path / "t.jsonl")}
    assert (found[0]["code"], found[0]["problem"]) == ("print(6 * 7)", "")
    assert found[1]["problem"] and found[1]["raw"] == "I refuse."
    assert found[2]["problem"] == "request_failed"


def test_an_estimate_sends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "in.jsonl", [{"id": 1, "text": TRUE}])
    server = ("--base-url", "http://127.0.0.1:9/v1", "--model", "small", "--input-price", "10")
    output = tmp_path / "t.jsonl"
    assert run("translate", "--generator", "openai", *server, "--input", rows, "--output", output, "--dry-run") == 0
    printed = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert (printed["requests"], printed["to_send"]) == ("1", "1")
    assert float(printed["price"]) > 0
    assert not output.exists()


@pytest.mark.parametrize("generator", ["openai", "vllm", "batch", "replay"])
def test_a_generator_without_what_it_needs_is_bad_usage(
    generator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write(tmp_path / "in.jsonl", [{"id": 1, "text": TRUE}])
    assert run("translate", "--generator", generator, "--input", rows, "--output", tmp_path / "t.jsonl") == 2
    assert f"generator {generator} needs" in capsys.readouterr().err

from pathlib import Path

import pytest

from mathcode_assets.llm.generator import Completion
from mathcode_assets.llm.replay import NOT_RECORDED, load_replay, record
from mathcode_assets_tests.llm.test_generator import REQUEST


def test_recorded_answers_come_back_in_the_order_asked(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    record(path, [Completion(key=REQUEST.key, text="4\u2028four", prompt_tokens=3)])
    record(path, [Completion(key="other", text="first"), Completion(key="other", text="last")])
    replay = load_replay(path)
    (answer,) = replay.generate([REQUEST])
    assert answer.text == "4\u2028four" and answer.prompt_tokens == 3 and answer.is_ok
    assert replay.completions["other"].text == "last"


def test_a_request_never_recorded_fails_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text("\n", encoding="utf-8")
    (answer,) = load_replay(path).generate([REQUEST])
    assert not answer.is_ok and answer.error == NOT_RECORDED and answer.key == REQUEST.key


@pytest.mark.parametrize("line", ["{", '{"text": "no key"}', "[1]", "3"])
def test_a_broken_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"key": "a", "text": "b", "extra": 1}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"answers\.jsonl:2"):
        load_replay(path)

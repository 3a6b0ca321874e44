import dataclasses

import pytest

from mathcode_assets.llm.generator import Message, Parameters, Request

REQUEST = Request(
    messages=(Message(role="user", content="2 + 2?"),),
    model="m",
    parameters=Parameters(),
    prompt_version="p/1",
)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"model_revision": "r2"},
        {"prompt_version": "p/2"},
        {"sample_index": 1},
        {"response_schema": "{}"},
        {"messages": (Message(role="system", content="2 + 2?"),)},
        {"messages": (*REQUEST.messages, Message(role="assistant", content=""))},
        {"parameters": Parameters(temperature=0.5)},
        {"parameters": Parameters(max_tokens=5)},
        {"parameters": Parameters(stop=("\n",))},
        {"parameters": Parameters(seed=1)},
    ],
)
def test_whatever_may_change_the_answer_changes_the_key(change: dict) -> None:
    assert dataclasses.replace(REQUEST, **change).key != REQUEST.key


def test_equal_requests_have_equal_keys() -> None:
    assert dataclasses.replace(REQUEST).key == REQUEST.key
    assert len(REQUEST.key) == 64

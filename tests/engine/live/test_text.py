"""Prompts of exact length, and text that arrives piece by piece."""

import random

import pytest

from engine.live.model.catalog import prepare
from engine.live.model.text import TASK, Text
from engine.scenario import ModelSpec


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(prepare(ModelSpec("tiny-llama", "fp32")))


def test_prompts_have_exactly_the_tokens_asked_for(text: Text) -> None:
    for tokens in [*range(1, 601), 2000, 20_000]:
        assert len(text.synthetic_prompt(3, tokens, tokens).ids) == tokens


def test_a_prompt_with_room_is_a_question_on_notes_that_hold_the_answer(text: Text) -> None:
    prompt = text.synthetic_prompt(0, 0, 600)
    assert prompt.text.startswith(TASK)
    *_, question = prompt.text.split("\n")
    assert question.startswith("Question: ")
    assert question.endswith("?")
    whole = text.decode(prompt.ids)
    assert whole.startswith("[user] " + TASK)
    assert whole.endswith(f"{question}\n[assistant] ")
    assert text.decode(prompt.ids[:-1]) == whole[:-1]


def test_a_prompt_without_room_is_plain_text(text: Text) -> None:
    prompt = text.synthetic_prompt(0, 0, 40)
    assert prompt.text == text.decode(prompt.ids)
    assert len(prompt.text) == 40


def test_every_request_gets_another_prompt_and_always_the_same(text: Text) -> None:
    prompts = [text.synthetic_prompt(seed, index, 300).ids for seed in (0, 1) for index in range(8)]
    assert len(set(prompts)) == len(prompts)
    assert text.synthetic_prompt(1, 7, 300).ids == prompts[-1]


def test_the_chat_template_is_filled_in(text: Text) -> None:
    assert text.decode(text.encode_chat("Two eggs, please.")) == "[user] Two eggs, please.\n[assistant] "


@pytest.mark.parametrize("said", ["plain", "crème brûlée", "寿司 🍣 and 🥢", ""])
def test_a_stream_says_what_the_whole_says(text: Text, said: str) -> None:
    stream = text.stream()
    assert "".join(stream.add(token) for token in text.encode(said)) == said
    assert stream.end() == ""


def test_a_stream_says_what_the_whole_says_even_of_noise(text: Text) -> None:
    for seed in range(200):
        ids = random.Random(seed).choices(range(512), k=40)
        stream = text.stream()
        assert "".join(map(stream.add, ids)) + stream.end() == text.decode(ids)


def test_a_character_comes_with_the_last_of_its_bytes(text: Text) -> None:
    stream = text.stream()
    pieces = [stream.add(token) for token in text.encode("é!")]
    assert pieces == ["", "é", "!"]


def test_a_stream_that_breaks_off_owns_up_to_it(text: Text) -> None:
    stream = text.stream()
    assert stream.add(text.encode("é")[0]) == ""
    assert stream.end() == "\ufffd"

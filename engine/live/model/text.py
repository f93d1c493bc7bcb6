"""Text to tokens and back, and prompts to try a model with. No torch: the front process does this, not the workers."""

import json
import random
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from engine.live.model.catalog import Prepared

PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"  # for models that were never taught to chat
TASK = "Answer the question from these notes.\n\n"
NOTES = "<notes>"  # where the passages go while the template is filled in


class Prompt(NamedTuple):
    """`text` is what a person should see of it: without the chat template around it."""

    ids: tuple[int, ...]
    text: str


class Passage(NamedTuple):
    question: str
    ids: tuple[int, ...]


class Text:
    """A model's tokenizer and chat template; `chat` False: none, a prompt is its words alone."""

    def __init__(self, prepared: Prepared, *, chat: bool = True) -> None:
        folder = Path(prepared.folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._chat = _ChatTemplate(folder, chat)

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of the text as it stands; nothing is put before or after it."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_chat(self, user_text: str) -> tuple[int, ...]:
        """The tokens of a conversation in which the user has said this and the model is to answer."""
        return self.encode(self._chat.render(user_text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids))

    def stream(self) -> "TextStream":
        """For one request's output, as it comes."""
        return TextStream(self._tokenizer)

    def synthetic_prompt(self, seed: int, index: int, tokens: int) -> Prompt:
        """Exactly `tokens` tokens: notes and a question on them where there is room, else the beginning of some notes.

        The same `seed` and `index` give the same prompt. The notes are cut at the end to make the length.
        """
        notes = self._shuffled(random.Random(f"{seed}/{index}"))
        asked = next(notes)
        question = f"\nQuestion: {asked.question}"
        before, after = self._chat.render(TASK + NOTES + question).split(NOTES)
        head, tail = self.encode(before), self.encode(after)
        room = tokens - len(head) - len(tail)
        if room < len(asked.ids):  # the note that has the answer would not fit
            head, tail, room, question = (), (), tokens, ""
        body = list(asked.ids)
        while len(body) < room:
            body += next(notes).ids
        text = self.decode(body[:room])
        return Prompt((*head, *body[:room], *tail), f"{TASK}{text.rstrip()}\n{question}" if question else text)

    def _shuffled(self, order: random.Random) -> "chain[Passage]":
        """The passages without end, in another order each time round."""
        return chain.from_iterable(order.sample(self._passages, len(self._passages)) for _ in iter(int, 1))

    @cached_property
    def _passages(self) -> list[Passage]:
        lines = files("engine.live.model").joinpath("corpus.txt").read_text("utf-8").splitlines()
        parts = [line.partition("? ") for line in lines if line]
        return [Passage(question + "?", self.encode(passage + "\n")) for question, _, passage in parts]


class TextStream:
    """Tokens in, text out: a character whose bytes are spread over several tokens comes with the last of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._said = 0

    def add(self, token: int) -> str:
        """The text that this token completes; often a word, sometimes nothing."""
        self._ids.append(token)
        text = self._decoder.step(self._tokenizer, token) or ""
        self._said += len(text)
        return text

    def end(self) -> str:
        """What is left once no more tokens come: the beginning of a character, shown as a replacement character."""
        return str(self._tokenizer.decode(self._ids))[self._said :]


class _ChatTemplate:
    """A model's own template, in a sandbox: it came with the model and may be anybody's."""

    def __init__(self, folder: Path, chat: bool) -> None:
        settings = _json(folder / "tokenizer_config.json")
        self._words = {name: _content(settings.get(name)) for name in ("bos_token", "eos_token")}
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _refuse
        file = folder / "chat_template.jinja"
        template = file.read_text("utf-8") if file.exists() else settings.get("chat_template")
        self._template = environment.from_string(template if chat and isinstance(template, str) else PLAIN)

    def render(self, user_text: str) -> str:
        said = [{"role": "user", "content": user_text}]
        return self._template.render(messages=said, add_generation_prompt=True, **self._words)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _content(token: Any) -> str:
    """Special tokens are written as a string, or as an object that has one."""
    return str(token.get("content", "") if isinstance(token, dict) else token or "")


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}

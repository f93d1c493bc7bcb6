"""Text to tokens and back, and synthetic prompts. No torch: the front does this, not the workers."""

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

from engine.errors import BadInput
from engine.live.model.catalog import Prepared
from engine.live.model.folder import Damaged, read_json

PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"  # for models without a chat template
TASK = "Answer the question from these notes.\n\n"
NOTES = "<notes>"  # stands for the passages while the template is rendered


class Prompt(NamedTuple):
    """`text` is the prompt as people see it, without the chat template."""

    ids: tuple[int, ...]
    text: str


class Passage(NamedTuple):
    """A question about a text, and its token ids."""

    question: str
    ids: tuple[int, ...]


class Text:
    """A model's tokenizer and chat template; `chat` False: no template, the prompt's text alone."""

    def __init__(self, prepared: Prepared, *, chat: bool = True) -> None:
        folder = Path(prepared.folder)
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as wrong:  # what the library raises has no other class
            raise BadInput("model", prepared.name, f"one with a tokenizer.json that can be read ({wrong})") from wrong
        try:
            self._chat = _ChatTemplate(folder, chat)
            self._chat.render("Hello")
        except (Damaged, TemplateError, OSError, ValueError, TypeError, RecursionError) as wrong:
            raise BadInput("model", prepared.name, f"one whose chat template works ({wrong})") from wrong

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of the text alone, without special tokens."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_chat(self, user_text: str) -> tuple[int, ...]:
        """The tokens of a conversation with this user message, which the model is to answer."""
        return self.encode(self._chat.render(user_text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids))

    def stream(self) -> "TextStream":
        """A decoder for one request's output as it comes."""
        return TextStream(self._tokenizer)

    def synthetic_prompt(self, seed: int, index: int, tokens: int) -> Prompt:
        """Exactly `tokens` tokens: notes and a question about them if there is room, else the beginning of some notes.

        The same `seed` and `index` give the same prompt. The notes are cut at the end to make the length.
        """
        notes = self._shuffled(random.Random(f"{seed}/{index}"))
        asked = next(notes)
        question = f"\nQuestion: {asked.question}"
        before, _, after = self._chat.render(TASK + NOTES + question).partition(NOTES)
        head, tail = self.encode(before), self.encode(after)
        room = tokens - len(head) - len(tail)
        if room < len(asked.ids):  # the note with the answer would not fit
            head, tail, room, question = (), (), tokens, ""
        body = list(asked.ids)
        while len(body) < room:
            body += next(notes).ids
        text = self.decode(body[:room])
        return Prompt((*head, *body[:room], *tail), f"{TASK}{text.rstrip()}\n{question}" if question else text)

    def _shuffled(self, order: random.Random) -> "chain[Passage]":
        """The passages, repeated without end, each time in another order."""
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
        """The rest, once no more tokens come: an incomplete character becomes a replacement character."""
        return str(self._tokenizer.decode(self._ids))[self._said :]


class _ChatTemplate:
    """A model's own template, in a sandbox: it came with the model, so it is not trusted."""

    def __init__(self, folder: Path, chat: bool) -> None:
        settings = read_json(folder / "tokenizer_config.json")
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
    """A special token is a string, or an object with a string in it."""
    return str(token.get("content", "") if isinstance(token, dict) else token or "")

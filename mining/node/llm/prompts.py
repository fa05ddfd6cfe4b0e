"""Turns a task's prompt into the tokens that a model reads, and counts them.

A user's text never becomes control tokens. The model's chat template is rendered with a mark in the
place of each message. Only the parts between the marks are tokenised with control tokens; the
messages are tokenised as plain text. So the template, which is code from a model's file, never sees
what users write. It runs in Jinja's immutable sandbox.

There is one exception: a prompt of the type `RAW` that holds control tokens of the template. The
client has applied the template itself, so these are read as control tokens. They can do no harm
outside that prompt, which holds no other user's text.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path

from chain.protocol.params import PromptType
from mining.node.llm.llama import Model
from mining.node.llm.profiles import profile_of
from mining.node.llm.templates import Template, TemplateFails
from mining.node.protocol.chat import Message, MessagesUnreadable, read_messages

PLAIN, CHAT, MESSAGES = PromptType.CONTINUATION, PromptType.MESSAGE, PromptType.CONVERSATION
RAW, SYSTEM = PromptType.RAW, PromptType.SYSTEM
PLACEHOLDER = "{prompt}"

_MARK = "c0ffee5e55104e5cafe0f0a7e5710bed"
_MARKS = re.compile(_MARK + r"(\d{4})")
_KEPT_TEMPLATES = 64
"""How many rendered templates are cached, one for each sequence of roles."""
_TODAY = datetime(2024, 7, 26)


class PromptError(Exception):
    """Base class: this model cannot take a prompt. `code` goes into reports."""

    code = "prompt_refused"


class ContextExceeded(PromptError):
    """The prompt and the answer together exceed the model's context."""

    code = "context_exceeded"

    def __init__(self, prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"prompt: its {prompt_tokens} tokens and max_tokens = {max_tokens} exceed the model's"
            f" context of {context_tokens} tokens; shorten the prompt or lower max_tokens"
        )
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_tokens = context_tokens


class PromptEmpty(PromptError):
    """The prompt has no tokens and the model has no start token."""

    code = "prompt_empty"


class TemplateUnusable(PromptError):
    """The model's chat template is missing, fails, or leaves out the user's message."""

    code = "template_unusable"


class MessagesUnfit(PromptError):
    """The conversation cannot be read, or the model's chat template refuses its turns."""

    code = "messages_unfit"


class ModelUnknown(PromptError):
    """No model with this identifier is served."""

    code = "model_unknown"


class ModelPrompts:
    """Tokenises prompts for one model. Threads may share it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._templates: dict[tuple[str, ...], list[list[int] | int]] = {}
        profile = profile_of(model)
        self.defaults = profile.params
        """The parameters of a task whose client names none."""
        self._served_tokens = self.context_tokens = profile.context_tokens

    def tokenise(self, prompt: str, prompt_type: int, prompt_template: str = "") -> list[int]:
        """Return the tokens of a prompt.

        Args:
            prompt: the client's prompt.
            prompt_type: a number of `PromptType`.
            prompt_template: the client's text around the prompt. The prompt replaces its first
                `{prompt}`, or follows it. It is plain text, like the prompt. With `SYSTEM` it is
                the system message. With `CONVERSATION` it must be empty.

        Raises:
            PromptEmpty: the prompt has no tokens and the model has no start token.
            TemplateUnusable: the model has no usable chat template.
            MessagesUnfit: the messages cannot be read, or the template refuses their turns.
            PromptError: the prompt type is unknown.
        """
        if prompt_type == PLAIN:
            tokens = self._model.tokenise(_wrap(prompt, prompt_template), special=False)
        elif prompt_type == CHAT:
            tokens = self._chat([Message("user", _wrap(prompt, prompt_template))])
        elif prompt_type == RAW:
            tokens = self._raw(_wrap(prompt, prompt_template))
        elif prompt_type == SYSTEM:
            tokens = self._with_system(prompt_template, prompt)
        elif prompt_type == MESSAGES:
            if prompt_template:
                raise MessagesUnfit(
                    "prompt_template: a conversation takes no template; leave it out"
                )
            tokens = self._chat(_messages(prompt))
        else:
            known = ", ".join(f"{each.value} ({each.name.lower()})" for each in PromptType)
            raise PromptError(f"prompt_type: {prompt_type} is unknown; use one of {known}")
        if self._model.bos is not None and tokens[:1] != [self._model.bos]:
            tokens.insert(0, self._model.bos)
        if not tokens:
            raise PromptEmpty("prompt: it is empty and this model has no start token; write one")
        return tokens

    def require_room(self, prompt_tokens: int, max_tokens: int) -> None:
        """Raise ContextExceeded unless the prompt and the answer fit into the context."""
        if prompt_tokens + max_tokens > self.context_tokens:
            raise ContextExceeded(prompt_tokens, max_tokens, self.context_tokens)

    def answer_tokens(self, prompt_tokens: int, max_tokens: int) -> int:
        """Return the most tokens that an answer may have.

        This is `max_tokens`, or the rest of the model's context if that is less. Clients that
        submit on chain ask for thousands of tokens without knowing the model. All miners of a
        model must cut an answer at the same token. So a miner with a smaller context than the
        model's refuses the job instead of cutting its answer earlier.

        Raises:
            ContextExceeded: the prompt leaves no room for an answer, or the answer does not fit
                into this miner's context.
        """
        most = min(max_tokens, max(self._served_tokens - prompt_tokens, 1))
        self.require_room(prompt_tokens, most)
        return most

    def _raw(self, text: str) -> list[int]:
        """Tokenise a text that holds control tokens of the template as it is.

        Any other text becomes a user's message.
        """
        bos = self._model.bos_text if self._model.bos is not None else ""
        # `tokenise` would add a second start token if white space preceded the first.
        begun = text.lstrip() if bos and text.lstrip().startswith(bos) else ""
        if begun or any(name in text for name in self._controls):
            return self._model.tokenise(begun or text, special=True)
        return self._chat([Message("user", text)])

    def _with_system(self, system: str, text: str) -> list[int]:
        message = Message("user", text)
        if not system:
            return self._chat([message])
        try:
            return self._chat([Message("system", system), message])
        except MessagesUnfit:
            # Some templates have no system message, so it goes in front of the user's message.
            return self._chat([Message("user", f"{system}\n\n{text}")])

    @cached_property
    def _controls(self) -> tuple[str, ...]:
        """The control tokens that the chat template writes, without the start token.

        The start token counts only at the beginning of a text, since `<s>` is an HTML tag as well.
        """
        found: set[int] = set()
        for roles in (("user",), ("system", "user", "assistant", "user")):
            with suppress(MessagesUnfit):
                for part in self._template(roles):
                    found.update([] if isinstance(part, int) else part)
        controls = {token for token in found if self._model.is_control(token)}
        return tuple(self._model.text_of(token) for token in controls - {self._model.bos})

    def _chat(self, messages: Sequence[Message]) -> list[int]:
        tokens: list[int] = []
        for part in self._template(tuple(message.role for message in messages)):
            if isinstance(part, int):
                tokens += self._model.tokenise(messages[part].content, special=False)
            else:
                tokens += part
        return tokens

    def _template(self, roles: tuple[str, ...]) -> list[list[int] | int]:
        """Return the chat template for a sequence of roles.

        The result is a list of the template's own tokens, with each message's index in its place.
        """
        known = self._templates.get(roles)
        if known is None:
            known = self._render(roles)
            if len(self._templates) < _KEPT_TEMPLATES:
                self._templates[roles] = known
        return known

    def _render(self, roles: tuple[str, ...]) -> list[list[int] | int]:
        marked = [
            {"role": role, "content": f"{_MARK}{index:04d}"} for index, role in enumerate(roles)
        ]
        lone = roles == ("user",)
        try:
            rendered = self._chat_template.render(marked)
        except TemplateFails as error:
            if lone:
                raise TemplateUnusable(f"model: its chat template fails: {error}") from error
            raise MessagesUnfit(
                f"messages: the model's chat template refuses these turns: {error}"
            ) from error
        pieces = _MARKS.split(rendered)
        places = [int(number) for number in pieces[1::2]]
        missing = set(range(len(roles))) - set(places)
        if missing and lone:
            raise TemplateUnusable("model: its chat template leaves out the user's message")
        if missing:
            raise MessagesUnfit(
                f"messages[{min(missing)}]: the model's chat template leaves out this message"
            )
        texts = [self._model.tokenise(text, special=True) for text in pieces[0::2]]
        parts: list[list[int] | int] = [texts[0]]
        for place, text in zip(places, texts[1:], strict=True):
            parts += [place, text]
        return parts

    @cached_property
    def _chat_template(self) -> Template:
        if self._model.chat_template is None:
            raise TemplateUnusable(
                "prompt_type: this model has no chat template;"
                f" use {PLAIN.value} ({PLAIN.name.lower()})"
            )
        try:
            return Template(
                self._model.chat_template,
                bos_text=self._model.bos_text,
                eos_text=self._model.eos_text,
                today=_TODAY,
            )
        except TemplateFails as error:
            raise TemplateUnusable(f"model: its chat template fails: {error}") from error


class PromptCounter:
    """Counts the tokens of prompts for the router. It reads only the vocabularies of the models.

    A model's file is opened on first use and kept open. Threads may share one counter.

    Args:
        models: the path of each model's file, by identifier.
    """

    def __init__(self, models: Mapping[int, Path]) -> None:
        self._paths = dict(models)
        self._prompts: dict[int, ModelPrompts] = {}
        self._lock = threading.Lock()

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        """Return how many tokens a prompt has.

        Raises:
            ModelUnknown: the model is not served.
            PromptError: the prompt cannot be tokenised; see `ModelPrompts.tokenise`.
        """
        prompts = self._of(model_identifier)
        return len(prompts.tokenise(prompt, prompt_type, prompt_template))

    def context_length(self, model_identifier: int) -> int:
        """Return the most tokens that a prompt and its answer may have together.

        Raises:
            ModelUnknown: the model is not served.
        """
        return self._of(model_identifier).context_tokens

    def _of(self, model_identifier: int) -> ModelPrompts:
        path = self._paths.get(model_identifier)
        if path is None:
            served = ", ".join(map(str, sorted(self._paths))) or "none"
            raise ModelUnknown(f"model_identifier: {model_identifier} is not served; use {served}")
        with self._lock:
            if model_identifier not in self._prompts:
                self._prompts[model_identifier] = ModelPrompts(Model(path, vocab_only=True))
            return self._prompts[model_identifier]


def _messages(prompt: str) -> list[Message]:
    try:
        return read_messages(prompt)
    except MessagesUnreadable as error:
        raise MessagesUnfit(str(error)) from error


def _wrap(prompt: str, prompt_template: str) -> str:
    if PLACEHOLDER in prompt_template:
        return prompt_template.replace(PLACEHOLDER, prompt, 1)
    return f"{prompt_template}\n\n{prompt}" if prompt_template else prompt

"""A model as it is asked: with the template that its manifest records."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.data import Row, Template, resolve_template
from ngdiff.errors import InputError
from ngdiff.evidence.seal import read_sealed
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path

_ANY = "x"  # stands for the answer where a row must have one


class Asked:
    """A model, loaded, and how questions are put to it.

    Args:
        name: Folder or hub name.
        tokenizer: Its tokenizer.
        model: The model.
        way: How questions are put.
    """

    def __init__(self, name: str, tokenizer: Any, model: Any, way: "Way") -> None:
        self.name, self.tokenizer, self.model, self.way = name, tokenizer, model, way

    def answers(self, questions: Sequence[str], *, max_new_tokens: int) -> list[str]:
        """What the model says to each, greedily.

        Raises:
            InputError: a question that leaves no room, or that the template refuses.
        """
        from ngdiff.data.encode import encode, end_token_ids, prompt_token_ids
        from ngdiff.evaluation.context import context_length
        from ngdiff.evaluation.generation import generate_answers, room

        template = self.way.template(self.tokenizer, questions)
        rows = [self.way.row(question, number) for number, question in enumerate(questions, start=1)]
        prompts = [
            prompt_token_ids(row, self.tokenizer)
            if row.kind == "raw"
            else encode(row, self.tokenizer, template, max_length=1 << 30).prompt_ids
            for row in rows
        ]
        limit = context_length(self.model)
        for row, prompt in zip(rows, prompts, strict=True):
            room(prompt, max_new_tokens, limit, row.origin)
        return generate_answers(
            self.model,
            self.tokenizer,
            prompts,
            max_new_tokens=max_new_tokens,
            end_ids=end_token_ids(self.tokenizer, template),
            show_progress=False,
        )


class Way:
    """How questions are put to a model.

    Args:
        choice: A template, as `--template` takes it; `raw`: the question as it is.
        text: That of a chat template, where it is recorded.
    """

    def __init__(self, choice: str, text: str | None = None) -> None:
        self.choice, self.text = choice, text

    def row(self, question: str, number: int) -> Row:
        """A question as a row."""
        origin = f"question {number}"
        if not question.strip():
            raise InputError(f"{origin} is empty")
        return Row(question, _ANY, origin=origin, kind="raw" if self.choice == "raw" else "qa")

    def template(self, tokenizer: Any, questions: Sequence[str]) -> Template:
        """The template. Gives the tokenizer the chat template that is recorded.

        Raises:
            InputError: as `ngdiff.data.resolve_template`.
        """
        if self.choice == "chat" and self.text is not None:
            tokenizer.chat_template = self.text
        if self.choice == "raw":
            return Template("text", tokenizer)
        return resolve_template(self.choice, tokenizer, [self.row(question, 1) for question in questions[:1]])


def recorded_way(name: str) -> Way | None:
    """How the run that wrote a model put its questions; None for a model of another program.

    Raises:
        InputError: a manifest that is not as it was written, or that is of images.
    """
    path = user_path(name) / MANIFEST
    if not path.is_file():
        return None
    manifest, fault = read_sealed(path)
    if fault:
        raise InputError(f"{path}: {fault}; give --template to ask without it")
    template = manifest["template"]
    if template is None:
        if manifest["command"][:2][-1] == "merge":  # of an adapter that another program made
            return None
        raise InputError(f"{name} is a model of images, which answers no question")
    if template == "text" or (template == "plain" and _kinds(manifest["data"]) == {"completion"}):
        return Way("raw")
    return Way(str(template), manifest.get("template_text"))


def _kinds(data: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {str(own["kind"]) for own in data.values() if "kind" in own}

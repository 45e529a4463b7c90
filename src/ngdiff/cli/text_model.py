"""Options of a language model: which one, how it is loaded, and how its tokenizer shows conversations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.cli.options import ModelOptions
from ngdiff.cli.parsing import option
from ngdiff.data import Row, Template, resolve_template
from ngdiff.errors import InputError


@dataclass
class TextModelOptions(ModelOptions):
    """A causal language model and its tokenizer."""

    chat_template: str | None = option(
        None,
        help="file with a chat template (Jinja), for a model without one or in place of its own; saved with the result",
        value="FILE",
    )

    def tokenizer_of(self, name: str) -> Any:
        """The tokenizer of a model, with the chat template of the file where one was given.

        Raises:
            InputError: a tokenizer or a file that cannot be used.
        """
        from ngdiff.modeling import load_tokenizer

        return self.with_chat(load_tokenizer(name, trust_remote_code=self.trust_remote_code))

    def with_chat(self, tokenizer: Any) -> Any:
        """The same tokenizer. Raises as `ngdiff.data.chat_file.use_chat_template`."""
        from ngdiff.data.chat_file import use_chat_template

        if self.chat_template is not None:
            use_chat_template(tokenizer, self.chat_template)
        return tokenizer

    def template_for(self, choice: str, tokenizer: Any, rows: Sequence[Row]) -> Template:
        """How rows become text.

        Raises:
            InputError: as `ngdiff.data.resolve_template`, or a chat template for rows that are shown without one.
        """
        template = resolve_template(choice, tokenizer, rows)
        if self.chat_template is not None and rows and not any(map(template.uses_chat, rows)):
            raise InputError(
                f"--chat-template {self.chat_template}: no row is shown by it. Rows of prompt/completion and text are "
                "taken as they are, others by --template; leave it out, or give --template chat"
            )
        return template

    def chat_file(self) -> dict[str, Any]:
        """For the manifest, in addition to the model: the file of the chat template, with its hash."""
        from ngdiff.manifest import describe_model

        return {} if self.chat_template is None else {"chat_template": describe_model(self.chat_template)}

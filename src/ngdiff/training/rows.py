"""Whatever a data set argument of the trainer is -> encoded rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.data import Row, encode_rows, read_rows, resolve_template
from ngdiff.errors import InputError
from ngdiff.evaluation.context import context_length
from ngdiff.training.config import UnlearnConfig

Rows = Any  # a path or name, a `datasets.Dataset`, a sequence of mappings, or rows already encoded

# Longest row where neither the user nor the model sets a lower limit: bounds the memory of a surprise row.
_LONGEST_ROW = 1024


class RowEncoder:
    """Turns whatever a data set argument is into encoded rows, all with one template."""

    def __init__(self, model: Any, tokenizer: Any, args: UnlearnConfig) -> None:
        self.tokenizer, self.args = tokenizer, args
        self.template_name: str | None = None
        context = context_length(model) if hasattr(model, "config") else None
        self.max_length = args.max_length or min(context or _LONGEST_ROW, _LONGEST_ROW)
        if context is not None and self.max_length > context:
            raise InputError(f"--max-length {self.max_length} is beyond the model's context of {context} tokens")

    @property
    def pad_token_id(self) -> int:
        """The tokenizer's pad token, else its end token, else 0: the attention mask hides it anyway."""
        ids = (getattr(self.tokenizer, "pad_token_id", None), getattr(self.tokenizer, "eos_token_id", None))
        return next((i for i in ids if i is not None), 0)

    def __call__(self, source: Rows, role: str) -> Sequence[Mapping[str, Any]]:
        if _is_encoded(source):
            if len(source) == 0:
                raise InputError(f"{role}: no rows")
            return source
        if self.tokenizer is None:
            raise InputError(f"{role}: rows of text need a tokenizer; pass processing_class")
        rows: list[Row] = read_rows(source, role=role)
        template = resolve_template(self.args.template, self.tokenizer, rows)
        self.template_name = template.name
        return encode_rows(rows, self.tokenizer, template, max_length=self.max_length)


def _is_encoded(source: Rows) -> bool:
    if isinstance(source, str) or not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        return False
    if len(source) == 0:
        return True
    first = source[0]
    return isinstance(first, Mapping) and "input_ids" in first

"""Prompts that include the beginning of the answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ngdiff.audit.base import Bed, NotApplicableError
from ngdiff.audit.target import Target
from ngdiff.data import Row, Template
from ngdiff.data.pieces import is_text
from ngdiff.data.tokens import tokens_of
from ngdiff.evaluation import Record


@dataclass(frozen=True)
class Begun(Template):
    """A template that includes the first tokens of the answer in the prompt.

    Attributes:
        given: Number of tokens of the answer -> how many of them are in the prompt.
    """

    given: Callable[[int], int] = lambda count: 0

    def parts(self, row: Row, answer: str | None = None) -> tuple[str, str, str]:
        """As `Template.parts`, with the boundary between prompt and answer moved; their concatenation is unchanged."""
        prompt, answer, end = super().parts(row, answer)
        (found,) = tokens_of([prompt + answer], self.tokenizer, special=not self.uses_chat(row))
        ends = [stop for stop in found.ends if stop > len(prompt)]
        count = self.given(len(ends))
        border = ends[count - 1] - len(prompt) if 0 < count <= len(ends) else 0
        return prompt + answer[:border], answer[border:], end


def ask_begun(target: Target, bed: Bed, given: Callable[[int], int]) -> list[Record]:
    """Records of the rows with a prompt, for the rest of each answer; rows without a word in the rest are omitted.

    Raises:
        NotApplicableError: no row is left, or the tokenizer does not return the offsets of its tokens.
    """
    if not bed.tokenizer.is_fast:
        raise NotApplicableError("the tokenizer is written in Python and does not return the offsets of its tokens")
    template = Begun(bed.template.name, bed.tokenizer, bed.template.verbatim_completions, given)
    rows: list[Row] = []
    rests: list[str] = []
    for row in with_prompt(bed.forget, bed.template):
        rest = template.parts(row)[1]
        if rest != bed.template.parts(row)[1] and any(map(str.isalnum, rest)):
            rows.append(row)
            rests.append(rest.strip())
    if not rows:
        return []
    records = bed.ask(target.model, rows, template)
    for record, rest in zip(records, rests, strict=True):
        record["reference"] = rest  # the rest of the answer, complete even if the row was cut
    return records


def with_prompt(rows: Sequence[Row], template: Template) -> list[Row]:
    """The rows that have a prompt; raw texts do not."""
    return [replace(row, kind="completion") if row.kind == "raw" else row for row in rows if not is_text(row, template)]

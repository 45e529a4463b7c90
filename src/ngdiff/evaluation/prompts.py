"""Prompts to continue, and which of them share a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ngdiff.evaluation.batching import batches_by_tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to continue, and how far.

    Attributes:
        ids: Tokens, at least one.
        limit: Most new tokens, at least one.
        known: New tokens that are known already, from a forward over prompt and reference.
        expected: How many new tokens the answer may have; prompts of one batch should agree in it, since a batch
            runs until its last answer ends. It changes no answer.
    """

    ids: tuple[int, ...]
    limit: int
    known: tuple[int, ...] = ()
    expected: int = 0

    @property
    def length(self) -> int:
        """Tokens that the model is given, those that are known already among them."""
        return len(self.ids) + len(self.known)


# New token ids after each of some prompts; as many as its limit, fewer where an end token came first (it may be last).
Generator = Callable[[Sequence[Prompt]], list[list[int]]]


def generation_batches(
    prompts: Sequence[Prompt], tokens_per_batch: int, limit: int | None, *, equal_lengths: bool = False
) -> list[list[int]]:
    """Prompts that are run together, what is `known` left out of their work; those with nothing left are in none.

    Sorted by how many tokens are still expected, then by length. In a batch every row takes as many steps as the
    longest of them: one that would leave the context by that is batched with its like.

    Args:
        prompts: The prompts to continue.
        tokens_per_batch: Most tokens, prompt and answer together, of one batch.
        limit: The model's context; None for no limit.
        equal_lengths: Only prompts of one length share a batch.
    """
    left = {index: prompt.limit - len(prompt.known) for index, prompt in enumerate(prompts)}
    left = {index: steps for index, steps in left.items() if steps > 0}
    if not left:
        return []
    most = max(left.values())
    groups: dict[tuple[int, int], list[int]] = {}
    for index, steps in left.items():
        start = prompts[index].length
        own = most if limit is None or start + most <= limit else steps
        groups.setdefault((own, start if equal_lengths else 0), []).append(index)
    batches: list[list[int]] = []
    for steps, start in sorted(groups):
        members = groups[steps, start]
        lengths = [prompts[i].length + steps for i in members]
        soon = [max(prompts[i].expected - len(prompts[i].known), 0) for i in members]
        found = batches_by_tokens(lengths, tokens_per_batch, first_by=soon)
        batches += [[members[place] for place in batch] for batch in found]
    return batches

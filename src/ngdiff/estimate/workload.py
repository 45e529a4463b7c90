"""The batches of a whole run: their number, the largest of each side, and the mean size."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

from torch import nn

from ngdiff.core.answers import IGNORED
from ngdiff.core.slots import SIDES, Side
from ngdiff.modeling.head import output_head
from ngdiff.speed import may_pack
from ngdiff.speed.choose import keeps_trailing_tokens
from ngdiff.tasks import TextTask
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.pairing import PROTECT_EVERY, Pair
from ngdiff.training.sets import check_rows_of_step

# Later epochs are only shuffled differently.
_EPOCHS = 20


@dataclass(frozen=True)
class Workload:
    """The batches of a run.

    Args:
        steps: Number of steps.
        micro_batches: Micro-batches of each side in a step, of one process.
        pairs: A micro-batch of pairs with the largest forget batch and the largest retain batch.
        tokens: Side -> tokens of its largest micro-batch, padding included where rows are padded.
        share: Side -> arithmetic of its mean micro-batch, as a part of that of its largest.
    """

    steps: int
    micro_batches: int
    pairs: list[Pair]
    tokens: dict[Side, int]
    share: dict[Side, float]


def workload(trainer: UnlearnTrainer, args: UnlearnConfig, *, processes: int = 1) -> Workload:
    """The batches that a trainer would take, from its rows and these options; nothing is run.

    How large a batch is: `tokens * body + answer tokens * head`, with the number of weights of the model's body and of
    its output head, to which both arithmetic and memory of a pass are nearly proportional. Rows count as
    packed where the options ask for it: whether the model then says the same is not known without its weights.

    Args:
        trainer: Ready to train, in one process.
        args: Options of the run.
        processes: How many will share the rows of a step.

    Raises:
        InputError: a step of more rows than the run would accept.
    """
    check_rows_of_step(args, len(trainer.forget_dataset), len(trainer.retain_dataset), processes=processes)
    size, rows_per_step = args.train_batch_size, args.rows_per_step * processes
    sampler = trainer.sampler.in_steps_of(rows_per_step)
    a_pass = len(sampler) // rows_per_step
    steps = args.max_steps if args.max_steps > 0 else -(-int(args.num_train_epochs * a_pass * 1000) // 1000)
    batches: dict[Side, list[list[int]]] = {"retain": [], "forget": []}
    for epoch in range(min(-(-steps // a_pass), _EPOCHS)):
        sampler.set_epoch(epoch)
        pairs = list(sampler)[: (steps - epoch * a_pass) * rows_per_step]
        for start in range(0, len(pairs), size):
            batch = pairs[start : start + size]
            batches["forget"].append([pair.forget for pair in batch if pair.forget is not None])
            batches["retain"].append([pair.retain for pair in batch])
    task, model = cast(TextTask, trainer.task), cast(nn.Module, trainer.model)
    measure = _Measure(
        model, packed=may_pack(model, task.situation), trailing_tokens=keeps_trailing_tokens(model, task.situation)
    )
    rows: dict[Side, Sequence[Any]] = {"retain": trainer.retain_dataset, "forget": trainer.forget_dataset}
    sizes = {side: [measure([rows[side][i] for i in batch]) for batch in batches[side]] for side in SIDES}
    largest = {side: batches[side][sizes[side].index(max(sizes[side]))] for side in SIDES}
    chosen = [Pair(*rows) for rows in zip_longest(largest["forget"], largest["retain"])]
    if (alternates := trainer.alternates) is not None:  # the longest answer of each row
        chosen = [pair._replace(choice=alternates.longest(pair.forget or 0)) for pair in chosen]
    if (protect := trainer.protect_dataset) is not None:
        longest = max(range(len(protect)), key=lambda row: measure([protect[row]]))
        chosen = [pair if i % PROTECT_EVERY else pair._replace(protect=longest) for i, pair in enumerate(chosen)]
    return Workload(
        steps=steps,
        micro_batches=args.gradient_accumulation_steps,
        pairs=chosen,
        tokens={side: measure.tokens([rows[side][i] for i in largest[side]]) for side in SIDES},
        share={side: sum(sizes[side]) / len(sizes[side]) / max(*sizes[side], 1) for side in SIDES},
    )


class _Measure:
    """How large a batch of rows is."""

    def __init__(self, model: Any, *, packed: bool, trailing_tokens: bool) -> None:
        self.packed, self.trailing_tokens = packed, trailing_tokens
        head = output_head(model)
        self.head = sum(p.numel() for p in head.parameters()) if head is not None else 0
        outside = {id(p) for p in head.parameters()} if head is not None else set()
        outside |= {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        self.body = sum(p.numel() for p in model.parameters() if id(p) not in outside)

    def __call__(self, rows: Sequence[Any]) -> float:
        answers = sum(sum(label != IGNORED for label in row["labels"][1:]) for row in rows)
        return self.tokens(rows) * self.body + answers * self.head

    def tokens(self, rows: Sequence[Any]) -> int:
        """What the model is given of these rows, with padding where there is any."""
        lengths = [0 if self.trailing_tokens else _last_label(row["labels"]) for row in rows]
        if not any(lengths):
            lengths = [len(row["input_ids"]) for row in rows]
        return sum(lengths) if self.packed else len(lengths) * max(lengths, default=0)


def _last_label(labels: Sequence[int]) -> int:
    """Position of the last label, which is the number of tokens before it; 0 if there is none to predict."""
    return next((place for place in range(len(labels) - 1, 0, -1) if labels[place] != IGNORED), 0)

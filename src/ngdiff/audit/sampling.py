"""Sampling: several sampled answers may reveal what the most probable one hides (Scholten et al. 2024, arXiv
2410.03523).

`N` answers at temperature 1 from the full distribution (top-p 1). `leak at k`: the probability that at least one of k
answers has ROUGE-L recall above .5; the unbiased estimate from the c of N that do is `1 - C(N - c, k) / C(N, k)` (Chen
et al. 2021, arXiv 2107.03374, Equation 1); at k = N, whether any does.
"""

from collections.abc import Iterator
from math import comb
from typing import Any

from tqdm import tqdm

from ngdiff.audit.base import Bed, Variant
from ngdiff.audit.target import Target
from ngdiff.data import EvaluationSet
from ngdiff.evaluation.evaluate import limits_of
from ngdiff.evaluation.generation import decode
from ngdiff.evaluation.plan import make_plan
from ngdiff.evaluation.sampling import SamplingGenerator
from ngdiff.metrics import rouge_l_recalls
from ngdiff.metrics.words import need_unicode

N = 10
AT = (1, 5, 10)
_LEAK = 0.5


def sample(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """`leak at k` for each k."""
    model, tokenizer = target.model, bed.tokenizer
    plan = make_plan({"forget": EvaluationSet(bed.forget)}, tokenizer, bed.template, limits_of(model, bed.max_length))
    generator = SamplingGenerator(model, tokenizer, plan.ends, plan.context)
    batches = generator.batches(plan.prompts, bed.tokens_per_batch)
    records: list[dict[str, Any]] = []
    with tqdm(total=N, desc="samples", disable=not bed.show_progress) as bar:
        for _ in range(N):
            said = {
                index: decode(tokenizer, ids, plan.ends).strip()
                for batch in batches
                for index, ids in zip(batch, generator([plan.prompts[i] for i in batch]), strict=True)
            }
            records += [
                {"origin": own.part.row.origin, "reference": own.part.row.answer, "generated": said[own.prompt or 0]}
                for own in plan.rows["forget"]
            ]
            bar.update()
    rows = len(plan.rows["forget"])
    recalls = rouge_l_recalls(records, words="unicode" if need_unicode(records) else "rouge-score")
    counts = [sum(value > _LEAK for value in recalls[row::rows]) for row in range(rows)]
    for k in AT:
        yield f"leak at {k}", Variant({"leak": [leak_at(k, count, N) for count in counts]}, {}, records)
        records = []


def leak_at(k: int, count: int, n: int) -> float:
    """Probability that at least one of k answers leaks, given that `count` of n did.

    >>> leak_at(1, 5, 10), leak_at(10, 1, 10)
    (0.5, 1.0)
    """
    return 1 - comb(n - count, k) / comb(n, k)

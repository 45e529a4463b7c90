"""What one evaluated example leaves behind.

A record is a plain JSON-able mapping; every metric is a function of records. Sums and counts are the primary
fields: any mean can be recomputed from them. Records hold texts, so they are kept in a run's `private/` folder
only.
"""

from typing import NotRequired, TypedDict


class Likelihood(TypedDict):
    """Negative log-likelihood of one answer under the model.

    `nll_sum`: sum over the answer's labels of `-log p(token | everything before it)`, nats, summed in
    float64. `n_tokens`: how many labels that is, the one end token included (raw rows have none). A label at the
    very first position of a sequence (a text without prompt, a tokenizer without begin token) has nothing before it,
    is never predicted and not counted.
    """

    nll_sum: float
    n_tokens: int


class Record(TypedDict):
    """One example of one evaluation set.

    `set`, `index`, `origin`: which set, its 0-based number there, and the row's file and line. `prompt`: the prompt as
    the template renders it; of a text, its first tokens. `reference`: the row's answer, or what is left of it where the
    row was cut; of a text, what follows its prompt. `generated`: the greedy answer, stripped (of raw rows: to the
    letter), without special tokens; None when nothing was generated.

    `nll_sum`, `n_tokens`: `Likelihood` of the reference, of a text from its first token on. `n_given`: how many of the
    labels are in the prompt of a text. `n_end`: how many of the last labels only end the answer: the end token, and
    what a template writes before it; 0 where the row was cut or has none. `n_cut`: how many tokens the longest of the
    row's answers lost, because it was too long. `piece`: of a text that was too long, [number, of how many].
    `document`: name of the document that the row is, or is a piece of.
    `paraphrased`, `perturbed`: likelihoods of the row's other answers; None and empty where the row has none.

    `token_nll`, `token_z`, `token_hit`: of each label of the reference, `ngdiff.evaluation.likelihood.TokenScores`;
    they need no separate forward pass and are always present. `lowercase`: likelihood of the lower-cased reference
    after the same prompt; in PrivLeak's sets, elsewhere with `--lowercase`. `base_model`: of the reference under
    another model, with `--base-model`. `grad_norm`: `ngdiff.evaluation.gradients`, with `--grad-norm`.
    """

    set: str
    index: int
    origin: str
    prompt: str
    reference: str
    generated: str | None
    nll_sum: float
    n_tokens: int
    n_given: int
    n_end: int
    n_cut: int
    paraphrased: Likelihood | None
    perturbed: list[Likelihood]
    token_nll: list[float]
    token_z: list[float]
    token_hit: list[int]
    piece: NotRequired[list[int]]
    document: NotRequired[str]
    lowercase: NotRequired[Likelihood]
    base_model: NotRequired[Likelihood]
    grad_norm: NotRequired[float]

"""A model that recites what it was shown, and nothing else."""

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel


class Reciter(PreTrainedModel):
    """After the beginning of a sequence that it was shown: the next token, with a probability of nearly 1.

    Of several sequences that begin alike it knows the one shown last. After any other beginning, and behind the end of
    a sequence: `lost`, a token of no meaning.

    Args:
        sequences: What it knows, from the first token on.
        vocabulary, context: Of the model.
        lost: The token that it says when it does not know how to go on.
    """

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, sequences: Iterable[Sequence[int]], vocabulary: int, context: int, lost: int) -> None:
        super().__init__(PretrainedConfig(max_position_embeddings=context, num_hidden_layers=1))
        self.vocabulary, self.lost = vocabulary, lost
        self.generation_config = GenerationConfig()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.following: dict[int, int] = {}
        for ids in sequences:
            known = 0
            for token, following in zip(ids, [*ids[1:], lost], strict=True):
                known = hash((known, token))
                self.following[known] = following

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> Any:
        assert input_ids.shape[1] <= self.config.max_position_embeddings
        logits = torch.zeros(*input_ids.shape, self.vocabulary)
        for row, (ids, mask) in enumerate(zip(input_ids.tolist(), attention_mask.tolist(), strict=True)):
            known = 0
            for place, (token, seen) in enumerate(zip(ids, mask, strict=True)):
                if seen:
                    known = hash((known, token))
                    logits[row, place, self.following.get(known, self.lost)] = 30.0
        return SimpleNamespace(logits=logits)

    def generate(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, generation_config: GenerationConfig
    ) -> Any:
        """Greedy, until every row has said an end token or the limit is reached."""
        ends = torch.tensor(generation_config.eos_token_id or [-1])
        ended = torch.zeros(len(input_ids), dtype=torch.bool)
        logits = []
        for _ in range(generation_config.max_new_tokens):
            logits.append(self(input_ids, attention_mask).logits[:, -1])
            best = logits[-1].argmax(dim=-1)
            input_ids = torch.cat([input_ids, best[:, None]], dim=1)
            attention_mask = torch.nn.functional.pad(attention_mask, (0, 1), value=1)
            ended |= torch.isin(best, ends)
            if ended.all():
                break
        if generation_config.return_dict_in_generate:
            return SimpleNamespace(sequences=input_ids, logits=tuple(logits))
        return input_ids

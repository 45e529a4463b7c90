"""Architectures that are refused, and the reason that the message gives.

Encoders load as causal language models, and are none unless their config says so (`is_decoder`, in XLM `causal`).
CPM-Ant lets all tokens of a prompt see each other.
"""

_SEES_WHAT_FOLLOWS = "no causal language model"
ENCODERS = (
    "bert", "bert-generation", "big_bird", "camembert", "cpmant", "data2vec-text", "electra", "ernie", "megatron-bert",
    "rembert", "roberta", "roberta-prelayernorm", "roformer", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet",
)  # fmt: skip

NO_TRAINING: dict[str, str] = dict.fromkeys(ENCODERS, _SEES_WHAT_FOLLOWS) | {
    "prophetnet": "output head is given hidden states of shape"  # it predicts several tokens at each position
}
NO_EVALUATION: dict[str, str] = dict.fromkeys(ENCODERS, _SEES_WHAT_FOLLOWS) | {
    "prophetnet": "cannot generate answers: token by token",
    # `generate` of transformers 5.23 counts its positions from 0, and the model from behind its pad token.
    "roberta decoder": "cannot generate answers: token by token",
    # It generates from a mask token, which a text does not have.
    "xlm causal": "cannot generate answers: token by token",
}
# Its router draws experts at random in training: no two passes are alike.
DRAWS_IN_TRAINING = ("phimoe",)
NO_ADAPTER: dict[str, str] = {
    "laguna": "could not be read after it was saved: .*shared_experts"  # PEFT 0.21 converts their names one way only
}

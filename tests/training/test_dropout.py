"""Training without dropout: which numbers are rates."""

import pytest
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from ngdiff.training.dropout import no_dropout

# What modules of transformers call a rate.
RATES = (
    *("dropout", "attention_dropout", "activation_dropout", "hidden_dropout", "residual_dropout", "embedding_dropout"),
    *("dropout_prob", "dropout_p", "attn_dropout_p", "dropout_ratio", "dropout_rate", "hidden_dropout_prob"),
    *("layerdrop", "encoder_layerdrop", "drop_prob", "drop_rate", "drop_path", "drop_path_rate", "drop"),
    *("attn_drop", "attn_pdrop", "resid_pdrop", "emb_pdrop"),
)
NO_RATES = (
    *("drop_threshold", "dropout_positions", "drop_below", "raindrop_size", "normalize_before_dropping", "backdrop"),
)


@pytest.mark.parametrize("name", [*RATES, *NO_RATES])
def test_rates_rest_within_and_other_numbers_are_left_alone(name):
    module = nn.Linear(1, 1)
    setattr(module, name, 0.25)
    with no_dropout(module):
        assert getattr(module, name) == (0.0 if name in RATES else 0.25)
    assert getattr(module, name) == 0.25


def test_a_number_above_1_is_no_rate():
    module = nn.Linear(1, 1)
    module.drop = 3.0
    with no_dropout(module):
        assert module.drop == 3.0


def test_no_module_of_a_model_drops_anything_within():
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    config.attention_dropout = 0.5
    model = LlamaForCausalLM(config)
    attention = model.model.layers[0].self_attn
    with no_dropout(model):
        assert attention.attention_dropout == 0.0
        assert model.config.attention_dropout == 0.5
    assert attention.attention_dropout == 0.5
    with no_dropout(model, enabled=False):
        assert attention.attention_dropout == 0.5

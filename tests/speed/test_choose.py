"""Which savings a run takes, by what it is like."""

from dataclasses import replace

import pytest
import torch

from ngdiff.speed import Forward, Situation, choose_forward, may_pack
from ngdiff.speed.choose import keeps_trailing_tokens

from .models import CONFIGS, build

CPU = Situation(torch.device("cpu"))
GPU = Situation(torch.device("cuda"))


def test_on_a_cpu_every_saving_is_taken(model, batch):
    forward = choose_forward(model, batch, CPU)
    assert (forward.cut, forward.trailing_tokens, forward.packing, forward.row_attention, forward.sparse_embedding) == (
        *(True, False, True, True, True),
    )
    assert forward.fused_loss is not None


def test_one_word_switches_all_off(model, batch):
    assert choose_forward(model, batch, replace(CPU, speed="off", packing="on")) == Forward()


@pytest.mark.parametrize("change", [{"processes": 2}, {"compiled": True}, {"gradient_buffers": 1}])
def test_where_gradients_of_the_embedding_are_whole(model, batch, change):
    assert not choose_forward(model, batch, replace(CPU, **change)).sparse_embedding


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_what_may_be_packed_by_itself(attention):
    """On a CPU attention of packed rows is quicker than padding only row by row, which is for sdpa."""
    model = build(CONFIGS["llama"], attention=attention)
    for packing, expected in (("on", True), ("off", False), ("auto", attention == "sdpa")):
        assert may_pack(model, replace(CPU, packing=packing)) == expected
        compiled = replace(CPU, packing=packing, compiled=True)
        assert may_pack(model, compiled) == (packing == "on"), "a compiled model would be compiled anew"
        assert may_pack(model, replace(GPU, packing=packing)) == (packing == "on"), "not measured there"


@pytest.mark.parametrize("why", ["", "a collator of the user's", "a compiled model", "lengths have a say", "a GPU"])
def test_trailing_tokens_are_left_out_where_that_is_nobodys_business(model, monkeypatch, why):
    if why == "lengths have a say":
        monkeypatch.setattr("ngdiff.speed.choose.depends_on_length", lambda model: True)
    situation = replace(CPU, custom_collator="collator" in why, compiled="compiled" in why)
    assert keeps_trailing_tokens(model, GPU if why == "a GPU" else situation) == bool(why)


def test_a_model_with_a_head_that_somebody_watches_computes_its_own_logits(model, batch):
    model.lm_head.register_forward_hook(lambda module, inputs, output: None)
    assert choose_forward(model, batch, CPU).fused_loss is None

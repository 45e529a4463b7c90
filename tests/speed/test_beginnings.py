"""Sequences in one row, each beginning once: what is in a row, and what a model says of it."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from ngdiff.speed.beginnings import rows_by_beginning, shared_logits, tree_of
from ngdiff.speed.checks import difference_if_shared

from .models import CONFIGS, LEAKING, VOCABULARY, build

IGNORED = -100


def tokens(length: int, seed: int) -> list[int]:
    return torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def question(length: int, answers: tuple[int, ...], seed: int) -> list[tuple[list[int], list[int]]]:
    """A prompt and answers, of which each second one begins like the one before."""
    prompt, found, last = tokens(length, seed), [], []
    for place, count in enumerate(answers):
        answer = tokens(count, 100 * seed + place)
        answer = [*last[:2], *answer] if place % 2 else answer
        found.append((prompt + answer, [IGNORED] * length + answer))
        last = answer
    return found


ROWS = [
    question(5, (4, 3, 6), 1),
    question(0, (7, 2), 2),
    [*question(8, (2, 5), 3), *question(3, (1, 4), 4)],
]


def alone(model, sequences):
    """Losses in float64, one sequence after the other."""
    exact = copy.deepcopy(model).double()
    values = []
    for ids, labels in sequences:
        log_p = torch.log_softmax(exact(input_ids=torch.tensor([ids]), use_cache=False).logits[0], -1)
        values += [-log_p[t - 1, own] for t, own in enumerate(labels) if t and own != IGNORED]
    return torch.stack(values)


def together(model, rows):
    logits, places = shared_logits(model, rows)
    labels = [own for row in rows for _, labels in row for own in labels[1:] if own != IGNORED]
    assert len(places) == len(labels)
    return torch.nn.functional.cross_entropy(logits[places].double(), torch.tensor(labels), reduction="none")


@torch.no_grad()
@pytest.mark.parametrize(
    ("dtype", "attention", "tolerance"),
    [(torch.float64, "sdpa", 1e-10), (torch.float32, "sdpa", 1e-5), (torch.float32, "eager", 1e-5)],
)
@pytest.mark.parametrize("name", ["llama", "gpt2: learned positions", "opt: positions of its own"])
def test_losses_are_those_of_each_sequence_alone(name, dtype, tolerance, attention):
    model = build((CONFIGS | LEAKING)[name], dtype=dtype, attention=attention)
    expected = alone(model, [one for row in ROWS for one in row])
    torch.testing.assert_close(together(model, ROWS), expected, rtol=tolerance, atol=tolerance)
    assert difference_if_shared(model, ROWS) == ""


@torch.no_grad()
def test_half_precision_differs_by_its_rounding(model):
    half = model.to(torch.bfloat16)
    expected = alone(half, [one for row in ROWS for one in row])
    found = together(half, ROWS)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.1)
    assert difference_if_shared(half, ROWS) == ""


@torch.no_grad()
def test_an_adapter(model):
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()
    expected = alone(adapted, [one for row in ROWS for one in row])
    torch.testing.assert_close(together(adapted, ROWS), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_beginning_is_computed_once_and_logits_from_the_first_label_on(model):
    seen = {}
    model.register_forward_pre_hook(lambda m, args, given: seen.update(given), with_kwargs=True)
    prompt = [7, 8, 9]
    row = [([*prompt, *own], [IGNORED] * 3 + own) for own in ([4, 5, 2], [4, 6, 2])]
    logits, places = shared_logits(model, [row])
    assert seen["input_ids"].tolist() == [[7, 8, 9, 4, 5, 6]]
    assert seen["position_ids"].tolist() == [[0, 1, 2, 3, 4, 4]]
    assert (seen["attention_mask"][0, 0, 5] == 0).tolist() == [True, True, True, True, False, True]
    assert len(logits) == 4  # from the prompt's last token on
    assert places.tolist() == [0, 1, 2, 0, 1, 3]


ELSEWHERE = ["bloom: ALiBi", "mamba: a state", "mistral: windows", "gemma2: windows, soft caps"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_model_that_would_say_something_else_is_found(name, dtype):
    assert difference_if_shared(build((CONFIGS | LEAKING)[name], dtype=dtype), ROWS)


def test_windows_longer_than_the_longest_sequence_change_nothing():
    config = copy.deepcopy(CONFIGS["mistral: windows"])
    config.sliding_window = max(len(ids) for row in ROWS for ids, _ in row)
    model = build(config)
    assert difference_if_shared(model, ROWS) == ""
    longer = tokens(60, 9)
    assert "a loss differs" in difference_if_shared(model, [[(longer, longer), *ROWS[0]]])


def test_attention_without_a_mask_of_pairs_is_not_tried(model):
    model.config._attn_implementation = "flash_attention_2"
    assert difference_if_shared(model, ROWS) == "flash_attention_2 attention takes no mask of pairs of tokens"


def test_positions_that_depend_on_the_pass_are_left_alone():
    config = copy.deepcopy(CONFIGS["llama"])
    config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert "longest position" in difference_if_shared(build(config), ROWS)


def test_rows_hold_every_sequence_once_and_no_more_places_than_their_trees():
    sequences = [ids for seed in range(40) for ids, _ in question(30, (20, 15, 25, 9), seed)]
    for most in (30, 100, 1000):
        rows = rows_by_beginning(sequences, most)
        assert sorted(index for row in rows for index in row.members) == list(range(len(sequences)))
        for row in rows:
            assert row.places == len(tree_of([sequences[index] for index in row.members]).tokens)
            assert row.places <= most or len(row.members) == 1


def test_neighbours_in_a_row_begin_alike():
    """Questions of 400 tokens, whose answers come in any order, share a row each."""
    sequences = [tokens(400, seed) + tokens(6, 10 * seed + answer) for answer in range(4) for seed in range(3)]
    rows = rows_by_beginning(sequences, 4096)
    assert sorted(sorted(row.members) for row in rows) == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_rows_do_not_depend_on_the_order_of_sequences():
    sequences = [ids for seed in range(20) for ids, _ in question(12, (9, 7, 5), seed)]
    rows = {frozenset(map(tuple, (sequences[i] for i in row.members))) for row in rows_by_beginning(sequences, 200)}
    back = sequences[::-1]
    assert rows == {frozenset(map(tuple, (back[i] for i in row.members))) for row in rows_by_beginning(back, 200)}

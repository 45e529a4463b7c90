"""Image classifiers: shapes, what comes back from a folder, and what is refused."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForImageClassification, LlamaConfig

from ngdiff.errors import InputError
from ngdiff.modeling import (
    IMAGE_SHAPES,
    build_image_model,
    class_names_of,
    image_logits,
    is_image_shape,
    load_image_model,
)
from ngdiff.modeling.cifar_resnet import CifarResNetConfig, CifarResNetForImageClassification

NAMES = ["ant", "bee", "cow"]
PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def small(seed: int = 0, **options) -> CifarResNetForImageClassification:
    sizes = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic", **options}
    torch.manual_seed(seed)
    config = CifarResNetConfig(**sizes, id2label=dict(enumerate(NAMES)), label2id={n: i for i, n in enumerate(NAMES)})
    return CifarResNetForImageClassification(config)


# Weights of the convolutions, norms and the head, counted by hand from the widths and depths:
# ResNet-20 has 272,474 with 10 classes and projections as short cuts (He et al. print 0.27 M).
@pytest.mark.parametrize(("name", "count"), [("resnet20-cifar", 272_474), ("resnet18-cifar", 11_173_962)])
def test_number_of_weights(name, count):
    model = build_image_model(name, [str(i) for i in range(10)], (32, 32))
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("name", IMAGE_SHAPES)
def test_shapes_are_built_alike_and_come_back_by_name(tmp_path: Path, name: str):
    state = torch.random.get_rng_state()
    model, again, other = (build_image_model(name, NAMES, (32, 32), seed=seed).eval() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    first, second, third = (next(iter(m.state_dict().values())) for m in (model, again, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert class_names_of(model) == tuple(NAMES)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = image_logits(model, PIXELS)
        assert expected.shape == (2, 3)
        for loaded in (load_image_model(tmp_path), AutoModelForImageClassification.from_pretrained(tmp_path)):
            assert torch.equal(image_logits(loaded, PIXELS), expected)
            assert not loaded.training


def test_the_stem_keeps_the_resolution():
    model = build_image_model("resnet20-cifar", NAMES, (32, 32))
    assert model.resnet.embedder(PIXELS).shape == (2, 16, 32, 32)
    assert not any(isinstance(module, nn.MaxPool2d) for module in model.modules())
    assert model.resnet(PIXELS).last_hidden_state.shape == (2, 64, 8, 8)


def test_a_vision_transformer_is_built_for_the_size_of_the_images():
    model = build_image_model("vit-tiny", NAMES, (16, 16))
    assert image_logits(model, PIXELS[:, :, :16, :16]).shape == (2, 3)


def test_a_config_is_a_shape(tmp_path: Path):
    small().config.to_json_file(tmp_path / "tiny.json")
    model = build_image_model(tmp_path / "tiny.json", NAMES, (32, 32))
    assert isinstance(model, CifarResNetForImageClassification)
    assert is_image_shape(str(tmp_path / "tiny.json"))
    assert not is_image_shape("some/model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not known; use one of resnet20-cifar"),
        ("{", "not a readable model config"),
        ("[]", "it holds no JSON object"),
        (json.dumps(LlamaConfig(hidden_size=64).to_dict()), "no image classifier is of this kind"),
    ],
)
def test_no_shape(tmp_path: Path, text, message):
    file = tmp_path / "shape.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        build_image_model(file, NAMES, (32, 32))


def test_a_new_head_for_other_classes(tmp_path: Path):
    model = small()
    model.save_pretrained(tmp_path)
    names = ["x", "y", "z", "w"]
    one, two = (load_image_model(tmp_path, class_names=names, seed=seed) for seed in (0, 0))
    assert class_names_of(one) == tuple(names)
    assert image_logits(one, PIXELS).shape == (2, 4)
    assert torch.equal(one.classifier[1].weight, two.classifier[1].weight)
    for name, value in model.state_dict().items():
        if not name.startswith("classifier"):
            assert torch.equal(one.state_dict()[name], value)
    same = load_image_model(tmp_path, class_names=NAMES)
    assert torch.equal(same.classifier[1].weight, model.classifier[1].weight)


def test_weights_that_lack_are_named(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    small().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["resnet.embedder.convolution.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for names in (None, ["x", "y"]):  # also where a new head is wanted
        with pytest.raises(InputError, match=r"lacks 1 of the model's weights, such as resnet\.embedder\.convolution"):
            load_image_model(tmp_path, class_names=names)


def test_folders_that_cannot_be_loaded(tmp_path: Path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_image_model(tmp_path)
    small().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="only pickled weights"):
        load_image_model(tmp_path)
    with pytest.raises(InputError, match="dtype 'int3' is not known"):
        load_image_model(tmp_path, dtype="int3")
    with pytest.raises(InputError, match="no folder of that name here"):
        load_image_model("nobody/nothing")
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="an adapter; image classifiers are trained whole"):
        load_image_model(tmp_path)


def test_a_language_model_is_no_classifier(tmp_path: Path):
    from transformers import LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, pad_token_id=0
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=re.escape(f"Model {tmp_path}: not loaded")):
        load_image_model(tmp_path)


def test_class_names_that_nobody_gave():
    config = CifarResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1], layer_type="basic", num_labels=3)
    assert class_names_of(CifarResNetForImageClassification(config)) is None
    assert class_names_of(nn.Linear(2, 2)) is None


@pytest.mark.parametrize("kind", ["tensor", "output"])
def test_logits_of_any_module(kind: str):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5))
    model = linear if kind == "tensor" else small()
    assert image_logits(model, PIXELS).dtype == torch.float32
    assert image_logits(model.double(), PIXELS.double()).dtype == torch.float64
    assert image_logits(model.bfloat16(), PIXELS.bfloat16()).dtype == torch.float32

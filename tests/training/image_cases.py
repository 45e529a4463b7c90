"""Images of three classes that a small network with batch normalisation can tell apart."""

import torch

from ngdiff.data import Images, Preparation
from ngdiff.modeling.cifar_resnet import CifarResNetConfig, CifarResNetForImageClassification

NAMES = ("ant", "bee", "cow")
PREPARATION = Preparation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def images(count: int, seed: int, labels: list[int] | None = None) -> Images:
    """Noise, each class brighter in one channel."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.tensor(labels) if labels is not None else torch.randint(0, 3, (count,), generator=generator)
    pixels = torch.randint(0, 200, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(count), chosen] += 55
    return Images(pixels, chosen, NAMES)


def classifier(seed: int = 0) -> CifarResNetForImageClassification:
    """About 2500 weights; running statistics that are not those of new layers."""
    torch.manual_seed(seed)
    config = CifarResNetConfig(
        embedding_size=4,
        hidden_sizes=[4, 8],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(NAMES)),
        label2id={name: label for label, name in enumerate(NAMES)},
    )
    model = CifarResNetForImageClassification(config).train()
    with torch.no_grad():
        for _ in range(5):
            model(PREPARATION(images(32, seed).pixels))
    return model.eval()


def statistics(model: torch.nn.Module) -> dict[str, bytes]:
    """Running statistics of batch normalisation, bit by bit."""
    return {name: value.numpy().tobytes() for name, value in model.named_buffers()}

"""ResNets for images of 32x32 pixels, as a model of transformers.

The first layers of transformers' ResNet (7x7 convolution of stride 2, then a pool of stride 2) shrink an image to a
quarter, of which little is left at 32 pixels. Here they are one 3x3 convolution of stride 1, as in He et al., "Deep
Residual Learning for Image Recognition", 2016, Section 4.2; everything behind them is transformers' own.

`import ngdiff.modeling` makes both classes known to `AutoConfig` and `AutoModelForImageClassification`, under a model
type of their own: a saved folder can be loaded by name, no code lies in it, and transformers without this package
refuses it instead of building another network.
"""

from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification


class CifarResNetConfig(ResNetConfig):
    """Options of `transformers.ResNetConfig`, which see."""

    model_type = "cifar-resnet"


class CifarStem(nn.Module):
    """3x3 convolution, batch normalisation, ReLU: (B, C, H, W) -> (B, `embedding_size`, H, W)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(config.num_channels, config.embedding_size, 3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(config.embedding_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """The first feature map."""
        return self.normalization(self.convolution(pixel_values)).relu()


class CifarResNetForImageClassification(ResNetForImageClassification):
    """transformers' ResNet behind a `CifarStem`."""

    config_class = CifarResNetConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        body: Any = self.resnet
        body.embedder = CifarStem(config)
        self.post_init()  # the new layers are drawn as all others are


AutoConfig.register(CifarResNetConfig.model_type, CifarResNetConfig)
AutoModelForImageClassification.register(CifarResNetConfig, CifarResNetForImageClassification)

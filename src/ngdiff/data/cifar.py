"""CIFAR-10 and CIFAR-100: their names and pixel statistics.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from typing import NamedTuple


class PixelStatistics(NamedTuple):
    """Mean and standard deviation of each channel, of pixels divided by 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


# Over all pixels of the 50,000 training images of each, computed from the images themselves.
STATISTICS = {
    "cifar10": PixelStatistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": PixelStatistics((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}

# Short name -> name on the hub.
HUB_IDS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}

# The class that the NGDiff paper (arXiv 2410.22086, Table 4) forgets, and how many images of it.
PAPER_CLASS = {"cifar10": "dog", "cifar100": "bed"}
PAPER_ROWS = 500

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar_name(class_names: tuple[str, ...], size: tuple[int, int]) -> str | None:
    """`cifar10` or `cifar100` where classes and size are those of the data set, else None.

    >>> cifar_name(("airplane", "bird"), (32, 32)) is None
    True
    """
    if size != (32, 32):
        return None
    if tuple(sorted(class_names)) == _CIFAR10:
        return "cifar10"
    # A hundred classes of 32x32 images with these two among them are CIFAR-100's.
    return "cifar100" if len(class_names) == 100 and {"aquarium_fish", "sweet_pepper"} <= {*class_names} else None

"""Memory of the host in large pages."""

import mmap

import pytest
import torch

from ngdiff.core.pages import large_pages


@pytest.mark.parametrize("size", [1, 5000, 1 << 23])
def test_it_is_empty_and_can_be_written(size):
    memory = large_pages(size)
    numbers = torch.frombuffer(memory, dtype=torch.uint8)
    assert (len(numbers), int(numbers.sum())) == (size, 0)
    numbers += 7
    assert memory[size - 1] == 7


def test_a_system_without_large_pages_gives_small_ones(monkeypatch):
    class Refuses(mmap.mmap):
        def madvise(self, *_):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Refuses)
    assert len(large_pages(10)) == 10


def test_a_tensor_outlives_the_name_of_its_memory():
    numbers = torch.frombuffer(large_pages(1 << 20), dtype=torch.float32)
    numbers.fill_(2.5)
    others = [torch.frombuffer(large_pages(1 << 20), dtype=torch.float32).fill_(1.0) for _ in range(3)]
    assert (float(numbers.sum()), len(others)) == (2.5 * (1 << 18), 3)

"""Before any test: no network. Between files of tests: nothing old for Python's garbage collector to look through."""

import gc
import os

import pytest

# Read when huggingface_hub is imported. A name that is no folder would otherwise be looked up with retries.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="module", autouse=True)
def old_objects_are_left_alone() -> None:
    """Whatever was imported or collected so far is passed over by `gc.collect()`.

    transformers collects at the start of every run, which takes half a second among the objects of all test files.
    """
    gc.collect()
    gc.freeze()

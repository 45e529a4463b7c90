"""The help shows each option once, under its owner: method and trainer first, texts last, and only where they count."""

import dataclasses
import re

import pytest

from ngdiff.cli.image_unlearning import ImageUnlearning
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.tasks.text_options import TextOptions
from ngdiff.training.autolr_options import AutoLROptions
from ngdiff.training.gradient_options import GradientOptions

PARSERS = {"text": TextUnlearning.parser, "image": ImageUnlearning.parser}


def groups_of(text: str) -> dict[str, list[str]]:
    """Title -> names of the options under it."""
    groups: dict[str, list[str]] = {}
    for line in text.splitlines():
        if title := re.fullmatch(r"(\w.*):", line):
            groups[title[1]] = []
        elif name := re.match(r"  --([\w-]+)", line):
            groups[list(groups)[-1]].append(name[1].replace("-", "_"))
    return groups


def names_of(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


@pytest.mark.parametrize("task", PARSERS)
def test_owned_options_stand_in_a_group_of_their_own(task):
    groups = groups_of(PARSERS[task].help(everything=True))
    owned = {"learning rate": AutoLROptions, "gradients": GradientOptions}
    if task == "text":
        owned["texts"] = TextOptions
    titles = list(groups)
    first = titles.index("method and training")
    assert titles[first : first + len(owned) + 2] == ["method and training", *owned, "other"]
    assert {title: groups[title] for title in owned} == {title: names_of(kind) for title, kind in owned.items()}
    assert groups["method and training"][0] == "method"


@pytest.mark.parametrize("task", PARSERS)
def test_no_option_is_listed_twice(task):
    listed = [name for group in groups_of(PARSERS[task].help(everything=True)).values() for name in group]
    assert sorted(set(listed)) == sorted(listed)


def test_images_are_not_offered_what_only_texts_have():
    listed = {name for group in groups_of(PARSERS["image"].help(everything=True)).values() for name in group}
    assert not {"dry_run", *TextOptions.names()} & listed

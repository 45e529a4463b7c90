"""The attacks by name: `ATTACKS`."""

from functools import partial

from ngdiff.audit.base import Attack
from ngdiff.lazy import LazyFunction

_function = partial(LazyFunction, package="ngdiff.audit")

# In the order in which they run: the cheap ones first, in case time runs out.
ATTACKS: dict[str, Attack] = {
    "membership": Attack(
        _function("membership", "tell_members"), "distinguish forget rows from holdout rows by their losses"
    ),
    "canaries": Attack(_function("canaries", "expose"), "rank planted secrets among other values (--canaries)"),
    "quantise": Attack(_function("quantise", "quantise"), "round the weights to 8 and 4 bits", asks_as_usual=True),
    "nf4": Attack(
        _function("nf4", "to_nf4"), "round the weights to NF4, as bitsandbytes does (if installed)", asks_as_usual=True
    ),
    "prune": Attack(
        _function("prune", "prune"), "set the smallest 30 % and 50 % of the weights to 0", asks_as_usual=True
    ),
    "prompts": Attack(
        _function("prompts", "ask_otherwise"), "other prompts: openings, examples, templates, paraphrases"
    ),
    "prefix": Attack(
        _function("prefix", "extract_by_prefix"), "give prefixes of several lengths of the text to be extracted"
    ),
    "sampling": Attack(
        _function("sampling", "sample"), "sample ten answers at temperature 1 instead of the most probable one"
    ),
    "relearn": Attack(
        _function("relearn", "relearn"),
        "train a few steps on other forget rows, on retain rows, on holdout rows",
        asks_as_usual=True,
    ),
}

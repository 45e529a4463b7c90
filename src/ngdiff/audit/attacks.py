"""The attacks by name: `ATTACKS`."""

from ngdiff.audit.base import Attack
from ngdiff.audit.membership import tell_members
from ngdiff.audit.prefix import extract_by_prefix
from ngdiff.audit.prompts import ask_otherwise
from ngdiff.audit.prune import prune
from ngdiff.audit.quantise import quantise
from ngdiff.audit.relearn import relearn
from ngdiff.audit.sampling import sample

# In the order in which they are run: where time is short, the cheap ones are done.
ATTACKS: dict[str, Attack] = {
    "membership": Attack(tell_members, "tell forget rows from rows never seen by their losses"),
    "quantise": Attack(quantise, "round the weights to 8 and 4 bit", asks_as_usual=True),
    "prune": Attack(prune, "set the smallest 30 % and 50 % of the weights to 0", asks_as_usual=True),
    "prompts": Attack(ask_otherwise, "other words before the question or the answer"),
    "prefix": Attack(extract_by_prefix, "give the beginning of the text to be extracted, in several lengths"),
    "sampling": Attack(sample, "ten answers at temperature 1 in place of the most probable one"),
    "relearn": Attack(
        relearn, "train a few steps on other forget rows, on retain rows, on holdout rows", asks_as_usual=True
    ),
}

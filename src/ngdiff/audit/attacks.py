"""The attacks by name: `ATTACKS`."""

from ngdiff.audit.base import Attack
from ngdiff.audit.membership import tell_members
from ngdiff.audit.prefix import extract_by_prefix
from ngdiff.audit.prompts import ask_otherwise
from ngdiff.audit.prune import prune
from ngdiff.audit.quantise import quantise
from ngdiff.audit.relearn import relearn
from ngdiff.audit.sampling import sample

# In the order in which they run: the cheap ones first, in case time runs out.
ATTACKS: dict[str, Attack] = {
    "membership": Attack(tell_members, "distinguish forget rows from holdout rows by their losses"),
    "quantise": Attack(quantise, "round the weights to 8 and 4 bits", asks_as_usual=True),
    "prune": Attack(prune, "set the smallest 30 % and 50 % of the weights to 0", asks_as_usual=True),
    "prompts": Attack(ask_otherwise, "other prompts: openings, examples, templates, paraphrases"),
    "prefix": Attack(extract_by_prefix, "give prefixes of several lengths of the text to be extracted"),
    "sampling": Attack(sample, "sample ten answers at temperature 1 instead of the most probable one"),
    "relearn": Attack(
        relearn, "train a few steps on other forget rows, on retain rows, on holdout rows", asks_as_usual=True
    ),
}

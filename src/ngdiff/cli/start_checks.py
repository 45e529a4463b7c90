"""What `ngdiff unlearn` checks of its rows before it starts: near-duplicates, as `ngdiff check` finds them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ngdiff.checking.findings import Finding
from ngdiff.checking.near import NearDuplicates
from ngdiff.cli.parsing import option
from ngdiff.cli.processes import is_first
from ngdiff.data import Row

logger = logging.getLogger(__name__)

# Of larger sets some rows are compared: that takes seconds.
_CHARACTERS = 5_000_000


@dataclass
class StartCheckOptions:
    """Checks before the first step."""

    check: bool = option(True, help="warn of near-duplicates between the sets, as ngdiff check does")


def check_at_start(options: StartCheckOptions, sets: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Warn of near-duplicates in two sets. Only the first process looks.

    Returns:
        For the manifest: `checks`, a list of findings; nothing if none was looked for.
    """
    if not (options.check and is_first()):
        return {}
    near = NearDuplicates(sets, characters=_CHARACTERS)
    findings = near.between()
    if near.compared:
        logger.info("Near-duplicates are looked for in %s; ngdiff check compares all rows.", near.compared)
        findings.insert(0, Finding("rows compared for near-duplicates", "fine", near.compared))
    for one in findings:
        if one.severity != "fine":
            logger.warning("%s: %s. %s", one.what.capitalize(), one.found, one.advice)
    return {"checks": [asdict(one) for one in findings]}

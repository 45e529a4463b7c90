"""From losses and Gramian to weights: the edges."""

import pytest

from ngdiff.core import Gramian
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
from ngdiff.training.weighing import Weigher
from ngdiff.weighting import Losses, resolve_weighting

OBJECTIVES = {"retain": RETAIN_OBJECTIVES["ce"], "forget": FORGET_OBJECTIVES["ce"]}


@pytest.mark.parametrize(("forget_loss", "rests"), [(2.999, False), (3.0, True), (3.001, True)])
def test_the_forget_gradient_rests_at_and_above_the_ceiling(forget_loss, rests):
    weigher = Weigher(resolve_weighting("ngdiff", option="--weighting"), OBJECTIVES, seed=0, ceiling=3.0)
    found = weigher.weigh(
        Gramian(a=4.0, s=0.0, b=0.25),
        token_losses=Losses(retain=1.0, forget=forget_loss),
        objective_losses=Losses(retain=1.0, forget=-forget_loss),
        step=1,
        state={},
    )
    assert found.weights == (0.5, 0.0 if rests else 2.0)
    assert found.figures["at_ceiling"] == rests

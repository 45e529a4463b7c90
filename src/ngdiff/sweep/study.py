"""The trials of a search and how well they did: a study of Optuna with two objectives, in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ngdiff.errors import InputError
from ngdiff.sweep.space import Choice, Interval, Space

if TYPE_CHECKING:
    import optuna

STORAGE = "search.db"
_NAME = "search"
State = Literal["open", "done", "failed"]
# By Optuna's names.
_ENDS: dict[str, State] = {"COMPLETE": "done", "FAIL": "failed"}


@dataclass(frozen=True)
class Trial:
    """One point of the space.

    Attributes:
        number: From 0.
        values: Option -> value.
        state: `open` until it is told how it ended.
        found: D and Utility, if it is done.
    """

    number: int
    values: Mapping[str, Any]
    state: State = "open"
    found: tuple[float, float] | None = None


def require_optuna() -> None:
    """Refuse a search where Optuna is not installed.

    Raises:
        InputError: says what to install.
    """
    try:
        import optuna as optuna
    except ImportError as error:
        raise InputError("--search needs optuna: pip install 'ngdiff[search]'") from error


class Study:
    """A search for points with a small D and a large Utility, by Optuna's tree-structured Parzen estimator.

    All is kept in a file (SQLite), so that another process can go on. The estimator is that of Ozaki et al. 2022 for
    several objectives; it draws at random until ten trials are done.

    Args:
        file: Made where there is none.
        space: What is searched; the same in every process that uses the file.

    Raises:
        InputError: Optuna is not installed, or the file is no such study.
    """

    def __init__(self, file: Path, space: Space) -> None:
        require_optuna()
        import optuna
        from sqlalchemy import URL
        from sqlalchemy.exc import SQLAlchemyError

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        url = URL.create("sqlite", database=str(file)).render_as_string()
        try:
            storage = optuna.storages.RDBStorage(url)
            self._study = optuna.create_study(
                storage=storage, study_name=_NAME, directions=["minimize", "maximize"], load_if_exists=True
            )
            begun = len(self._study.trials)
        except (SQLAlchemyError, RuntimeError, ValueError, KeyError) as error:
            raise InputError(f"{file} is not the study of a search; choose another --output") from error
        # Other draws than those of the process before, and the same in every search that goes on so.
        self._study.sampler = optuna.samplers.TPESampler(seed=begun)

    def trials(self) -> list[Trial]:
        """All of them, in order."""
        return [_trial(one) for one in self._study.trials]

    def ask(self) -> Trial:
        """Another point."""
        trial = self._study.ask()
        values = {name: _suggested(trial, name, one) for name, one in self._space.items()}
        return Trial(trial.number, values)

    def tell(self, number: int, found: tuple[float, float] | None) -> None:
        """How a trial ended.

        Args:
            number: Of the trial.
            found: D and Utility; None if it failed.
        """
        from optuna.trial import TrialState

        if found is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, list(found))

    def best(self) -> list[Trial]:
        """The Pareto front: done trials to which no other is better in one objective and as good in the other."""
        return [_trial(one) for one in self._study.best_trials]


def _suggested(trial: "optuna.Trial", name: str, one: Choice | Interval) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(name, one.values)
    if one.whole:
        return trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(name, one.low, one.high, log=one.log)


def _trial(one: "optuna.trial.FrozenTrial") -> Trial:
    state: State = _ENDS.get(one.state.name, "open")
    found: Sequence[float] | None = one.values if state == "done" else None
    return Trial(one.number, dict(one.params), state, None if found is None else (found[0], found[1]))

"""A value computed by the first process and shared with all."""

from collections.abc import Callable
from typing import Any, TypeVar

from ngdiff.errors import InputError, RuinedModelError

Answer = TypeVar("Answer")


def in_first_process(find: Callable[[], Answer]) -> Answer:
    """What `find` returns in the first process, in all of them.

    Raises:
        InputError, RuinedModelError: `find` raised it in the first process; in all of them.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    if PartialState().num_processes == 1:
        return find()
    found: list[Any] = [None, None]
    if PartialState().is_main_process:
        try:
            found[0] = find()
        except InputError as error:
            found[1] = InputError(str(error))
        except RuinedModelError as error:
            found[1] = error
    broadcast_object_list(found)
    if found[1] is not None:
        raise found[1]
    answer: Answer = found[0]
    return answer

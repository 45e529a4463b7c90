"""Check that another model has the same tokens as the model."""

from typing import Any

from ngdiff.errors import InputError
from ngdiff.modeling.load import load_tokenizer


def check_same_tokens(
    tokenizer: Any, other_model: str, *, option: str = "--base-model", trust_remote_code: bool = False
) -> None:
    """Compare a model's tokenizer with that of another model; tokens that only one has added are allowed.

    Args:
        tokenizer: The model's.
        other_model: Folder or name of the other.
        option: To which the other was given.
        trust_remote_code: Run Python code that comes with it.

    Raises:
        InputError: another tokenizer; names a token.
    """
    other = load_tokenizer(other_model, trust_remote_code=trust_remote_code).get_vocab()
    for token, number in tokenizer.get_vocab().items():
        if other.get(token, number) != number:
            raise InputError(
                f"{option} {other_model}: its token {token!r} has number {other[token]}, that of --model {number}; "
                "both models need the same tokens"
            )
    if not other.keys() & tokenizer.get_vocab().keys():
        raise InputError(f"{option} {other_model} has none of the tokens of --model; both models need the same")

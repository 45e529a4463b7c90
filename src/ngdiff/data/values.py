"""Values of a record, checked; messages name them by their type and never show them."""

from ngdiff.data.json_text import JSONError, RepeatedKey, decode_all
from ngdiff.errors import InputError


def text_of(value: object, column: str, origin: str, *, empty_allowed: bool = False) -> str:
    """A text.

    Raises:
        InputError: another type, an empty text, or half a surrogate pair.
    """
    if not isinstance(value, str):
        raise InputError(f"{origin}: column '{column}' must be a string, found {type_of(value)}.")
    if not empty_allowed and not value.strip():
        raise InputError(f"{origin}: column '{column}' is empty.")
    check_encodable(value, column, origin)
    return value


def from_json(value: object) -> object:
    """A list that a table holds as its JSON text; any other value as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return decode_all(value)
        except JSONError:
            return value
    return value


def check_encodable(value: str, column: str, origin: str) -> None:
    """Refuse a text that no tokenizer takes.

    Raises:
        InputError: half a surrogate pair.
    """
    # JSON can spell half a surrogate pair ("\ud83d"); no tokenizer takes it.
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{origin}: column '{column}' has half a surrogate pair at character {error.start}.") from None


def type_of(value: object) -> str:
    """What messages call a value, which they never show."""
    if isinstance(value, RepeatedKey):
        return "several values, as the key occurs more than once"
    return "null" if value is None else type(value).__name__

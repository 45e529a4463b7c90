"""Errors of the client of the Hugging Face hub."""

from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError

# Without a network it raises the errors of the library below it, which its own class derives from; that library is
# another one from version to version.
HUB_ERRORS: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, OSError, ValueError)
_LONGEST = 400


def status_of(error: Exception) -> int | None:
    """The status by which the hub refused; None where it gave no answer."""
    return getattr(getattr(error, "response", None), "status_code", None)


def hub_reason(error: Exception) -> str:
    """Why, in one line of at most 400 characters, without the token.

    >>> hub_reason(ValueError("no\\nsuch thing"))
    'no such thing'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    token = get_token()
    text = text.replace(token, "***") if token else text
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."

"""Numbers of things in messages."""


def number_of(count: float, thing: str) -> str:
    """A number and what it counts, in the singular for one.

    Args:
        count: How many.
        thing: In the singular; words that end in s get "es".

    >>> number_of(1, "row"), number_of(20, "step"), number_of(0, "pass"), number_of(1.5, "pass")
    ('1 row', '20 steps', '0 passes', '1.5 passes')
    """
    ending = "" if count == 1 else "es" if thing.endswith("s") else "s"
    return f"{count:g} {thing}{ending}" if isinstance(count, float) else f"{count} {thing}{ending}"

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


def some_of(count: int, total: int, thing: str) -> str:
    """How many of all things.

    Args:
        count: Of those that are meant.
        total: Of all.
        thing: As of `number_of`.

    >>> some_of(1, 12, "row"), some_of(1, 1, "row")
    ('1 of 12 rows', '1 of 1 row')
    """
    return f"{count} of {number_of(total, thing)}"


def verb(count: int, one: str = "is", many: str = "are") -> str:
    """What follows a number of things, or stands for them.

    >>> verb(1), verb(2), verb(1, "it", "them")
    ('is', 'are', 'it')
    """
    return one if count == 1 else many

"""The one error that is the user's to mend."""


class InputError(ValueError):
    """Bad input: a file, row, option or value that ngdiff cannot use.

    The message names what was found and what would be accepted. The command line prints it alone, without a
    traceback, and exits with status 2.
    """

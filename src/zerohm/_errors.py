"""The one exception for input that cannot be used."""


class InputError(ValueError):
    """The user's input is unusable: the message says what was wrong, where, and what is allowed.

    The command line turns it into one message on stderr and exit code 2; every other exception
    is a fault of the program and keeps its traceback.
    """

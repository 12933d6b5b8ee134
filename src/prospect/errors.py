"""The error types that reach a user as one message instead of a traceback."""


class UserError(ValueError):
    """A mistake that the user can mend: the message names the file, key or sample and what to do. Exit code 2."""


class Stopped(Exception):
    """A signal ended the run after a checkpoint was written. Exit code 75; `resume=DIR` goes on."""

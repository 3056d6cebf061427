"""The exceptions that a user can act on, and the warning that a user should see."""


class UserError(Exception):
    """A mistake in the user's input; its message is one line: what, where, what to do.

    The command line prints the message without a stack trace and exits with code 2.
    """


class InputError(UserError):
    """The stars, their photometry or their distances cannot be read, or do not match each other."""


class ModelError(UserError):
    """There is no such model, its files are damaged, or it does not support the request."""


class ArchiveError(UserError):
    """Gaia's archive, a mirror or VizieR does not respond, or its response cannot be used: try again later."""


class StorageError(UserError):
    """The server of a bucket does not respond, or refuses."""


class EndpointError(UserError):
    """An endpoint of xpfeh does not respond, or refuses a request."""


class Notice(UserWarning):
    """A caveat about a result that was produced: one line, which the command line prints."""

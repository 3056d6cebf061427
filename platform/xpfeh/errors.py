"""The exceptions that are the user's to mend, and the warning that is the user's to know."""


class UserError(Exception):
    """A mistake in what the user gave; its message is one line: what, where, what to do.

    The command line prints the message without a stack trace and exits with code 2.
    """


class InputError(UserError):
    """The stars, their photometry or their distances cannot be read, or do not belong together."""


class ModelError(UserError):
    """There is no such model, its files are damaged, or it cannot do what it is asked to."""


class ArchiveError(UserError):
    """Gaia's archive, a mirror or VizieR does not respond, or its response cannot be used: try again later."""


class EndpointError(UserError):
    """An endpoint of xpfeh does not respond, or refuses a request."""


class Notice(UserWarning):
    """What a user should know of an answer that is there nevertheless: one line, which the command line prints."""

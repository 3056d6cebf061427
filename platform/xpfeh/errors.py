"""The one exception that is the user's to mend."""


class UserError(Exception):
    """A mistake in what the user gave; its message is one line: what, where, what to do.

    The command line prints the message without a stack trace and exits with code 2.
    """


class Notice(UserWarning):
    """What a user should know of an answer that is there nevertheless: one line, which the command line prints."""

"""The errors a user of sitetwin is meant to read."""


class SiteTwinError(Exception):
    """Bad input or an impossible request, said in one sentence.

    The message names what is wrong, where, and how to mend it. The command line prints it alone, without a traceback,
    and exits with status 1.
    """


class SiteTwinWarning(UserWarning):
    """Something was assumed or clamped on the user's behalf; the message says what."""

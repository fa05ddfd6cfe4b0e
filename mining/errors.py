"""The errors of this app. All derive from `MiningError`."""


class MiningError(Exception):
    """Base class of this app's errors."""


class ReportRefused(MiningError):
    """A miner's report is false or comes at the wrong time. It is logged and dropped.

    The text says why.
    """


class MailboxUnavailable(MiningError):
    """Redis did not accept a message. The sender may try again."""


class ValidationImpossible(MiningError):
    """A task cannot be judged now. The text says what is missing."""

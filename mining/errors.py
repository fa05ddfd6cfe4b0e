"""What can go wrong in mining; each has one base, `MiningError`."""


class MiningError(Exception):
    """The base of this package's errors."""


class ReportRefused(MiningError):
    """A miner's report that does not hold; it is logged and dropped. The text is the reason."""


class MailboxUnavailable(MiningError):
    """Redis did not take a message; the sender may try again."""


class ValidationImpossible(MiningError):
    """A task cannot be judged now; the text says what is missing."""

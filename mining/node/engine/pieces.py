"""Turns the bytes of tokens into text: whole characters only, and nothing after a stop string."""

import codecs
from collections.abc import Sequence

_NUL, _REPLACEMENT = "\x00", "\ufffd"


class TextAssembler:
    """Joins the bytes of tokens into pieces of text that can be shown at once.

    It holds back text that may still change: an incomplete character, and an end that may be the
    beginning of a stop string. Bytes that are not UTF-8 become U+FFFD. So does NUL, which databases
    refuse.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = [text for text in stop if text]
        self._longest = max(map(len, self._stop), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """Add a token's bytes and return the text that can be shown.

        `stopped` is then true if a stop string has ended the answer.
        """
        self._take(self._decoder.decode(data))
        keep = 0 if self.stopped else self._possible_stop()
        return self._release(keep)

    def finish(self) -> str:
        """End the answer and return the text that was held back, cut before a stop string."""
        if not self.stopped:
            self._take(self._decoder.decode(b"", final=True))
        return self._release(0)

    def _take(self, text: str) -> None:
        self._held += text.replace(_NUL, _REPLACEMENT)
        if not self._stop:
            return
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self._held = self._held[: min(found)]
            self.stopped = True

    def _possible_stop(self) -> int:
        """Return how many characters at the end may be the beginning of a stop string."""
        for length in range(min(self._longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0

    def _release(self, keep: int) -> str:
        shown = self._held[: len(self._held) - keep]
        self._held = self._held[len(shown) :]
        return shown

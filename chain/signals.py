"""What other packages can listen to. All are sent after the commit of what they tell of."""

from django.dispatch import Signal

events_stored = Signal()
"""`events`: the `EventRecord`s of a batch that `chain.sync` has stored, in the chain's order.

Sent with no events when sync starts, after a fork, and when stored events have become confirmed
(`chain.finality`). A crash may lose one: nobody should depend on
seeing each event here, but look at the mirror, which has them all.
"""

operation_confirmed = Signal()
"""`operation`: a `chain.models.Operation` whose effect is on chain."""

operation_failed = Signal()
"""`operation`: a `chain.models.Operation` that the chain refused for good; `error` says why."""

"""The stages of a task's life: the state machine, early ends, refusals, the wait for a verdict."""

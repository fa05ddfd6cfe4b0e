"""The stages of a task: the state machine, early ends, refusals and the wait for a verdict."""

"""Judges answers: reads them, compares them, runs tasks again if necessary, signs verdicts."""

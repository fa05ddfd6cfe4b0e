"""Conversion of a task's answer into OpenAI's shapes."""

"""Telling clients what became of their tasks, by signed HTTP requests."""

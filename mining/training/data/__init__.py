"""The training data of the shipped models: families of generated questions with answers."""

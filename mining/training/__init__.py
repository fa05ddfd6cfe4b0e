"""Makes Cortensor's own small models: corpus, vocabulary, training, export and score."""

"""How Cortensor's own small models are made: corpus, vocabulary, training, export, score."""

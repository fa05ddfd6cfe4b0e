"""A language model: llama.cpp's interface, prompts, chat templates, profiles and embeddings."""

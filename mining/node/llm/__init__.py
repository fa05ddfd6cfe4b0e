"""A model as a node reads it: llama.cpp, prompts, templates, grammars."""

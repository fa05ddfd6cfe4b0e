"""`/v1`: an interface for clients of OpenAI's API. `docs/openai.md` says what it supports."""

"""`/v1`: the router as any client of OpenAI's API sees it. `docs/openai.md` says what is served."""

"""The dashboard: a page that shows the live network, with a playground for prompts."""

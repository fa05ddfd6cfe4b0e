"""The dashboard: one page that shows the network live, and a playground to ask it."""

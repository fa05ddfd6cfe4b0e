"""The views of `/api`, one module per subject."""

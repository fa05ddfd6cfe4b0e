"""The views of `/api`, one subject a module."""

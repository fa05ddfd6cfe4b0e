"""The servers that come with the project's packages."""

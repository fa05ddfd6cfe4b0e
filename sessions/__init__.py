"""Sessions and tasks as clients see them: intake, stages, live streams and the interfaces."""

"""The description of the API: OpenAPI 3.1, at `/api/schema`, rendered at `/api/docs`."""

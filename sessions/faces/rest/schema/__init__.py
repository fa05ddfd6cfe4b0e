"""The OpenAPI 3.1 description of the API, at `/api/schema` and rendered at `/api/docs`."""

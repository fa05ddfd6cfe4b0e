"""`/v1` in the router's OpenAPI description."""

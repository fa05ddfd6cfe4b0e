"""The part of the OpenAPI description for `/v1`."""

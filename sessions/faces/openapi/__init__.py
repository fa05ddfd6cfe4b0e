"""Code that the OpenAPI descriptions of several interfaces share."""

"""Code that several interfaces share: authentication, errors, bodies and event streams."""

"""From the bodies of `/v1` to what the intake understands."""

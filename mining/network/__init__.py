"""The router's side of network tasks: asks idle nodes for parts, relays and judges the answers."""

"""The messages between a router and a node. Both sides import these modules."""

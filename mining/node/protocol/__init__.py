"""What a router and a node say to each other, written down once for both."""

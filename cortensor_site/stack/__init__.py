"""The whole network on one machine: embedded servers, a supervisor, the example."""

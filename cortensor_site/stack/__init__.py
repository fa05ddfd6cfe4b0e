"""The whole network on one machine: embedded servers, a supervisor and an example client."""

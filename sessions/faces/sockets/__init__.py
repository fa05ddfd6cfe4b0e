"""What comes over WebSocket: the network's feed and a task's live answer."""

"""What the faces share: who asks, how errors look, how bodies are read and events sent."""

"""How clients meet the network: REST, OpenAI's interface, pay per call, WebSocket."""

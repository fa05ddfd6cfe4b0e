"""Network tasks on the router's side: asking idle nodes for their parts, relaying, judging."""

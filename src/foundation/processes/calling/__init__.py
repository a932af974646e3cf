"""The caller's side: references, and the calls and streams that this node waits for."""

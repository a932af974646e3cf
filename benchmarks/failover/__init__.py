"""What it costs to start distributed children, to lose their node, and to move them."""

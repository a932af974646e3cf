"""Where plain functions of processes run, so that the event loop does not wait for them."""

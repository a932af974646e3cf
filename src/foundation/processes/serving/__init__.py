"""The callee's side: mailboxes, and the requests that the processes of this node work on."""

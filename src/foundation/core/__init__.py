"""The ground: identity, time, tasks, events, codec. It knows nothing about clusters."""

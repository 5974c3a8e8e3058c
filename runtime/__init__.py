"""What work in the event loop shares: supervised tasks, time slices, time-outs."""

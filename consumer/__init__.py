"""The consumer: events from a group's queue to users' handlers; each delivery has one outcome."""

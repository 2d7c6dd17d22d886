"""What was set aside: dead letters and unrouted events, seen, replayed and dropped."""

"""`make safety`: what becomes of events that go wrong, in Tidings and in its peers."""

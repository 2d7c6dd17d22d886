"""`tidings outbox`: see and repair what a producer's outbox on disk holds."""

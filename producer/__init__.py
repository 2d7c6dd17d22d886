"""The producer: sources make events, the outbox keeps them, the publisher gets them confirmed."""

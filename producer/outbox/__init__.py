"""Homes for accepted events: one protocol (`entry`), kept in memory or in a SQLite file."""

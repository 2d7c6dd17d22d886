"""The code of a user, for an image on top of ours: see docs/containers.md."""

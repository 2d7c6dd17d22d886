"""The contestants: one program each, with the same sub-commands; see `measuring.py`."""

"""The language both services speak; a module belongs here once two rooms need it."""

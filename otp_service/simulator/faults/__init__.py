"""Faults that a tester asks for: their kinds, and which are armed."""

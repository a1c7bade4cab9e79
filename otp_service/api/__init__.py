"""Starlette: turns requests into service calls and results into answers."""

"""Retention, key rotation, renumbering, health and the clock, for operators."""

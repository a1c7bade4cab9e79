"""Challenges: each is one use of a factor of a subject."""

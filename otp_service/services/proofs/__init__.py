"""Proofs: signed statements that a verification was approved."""

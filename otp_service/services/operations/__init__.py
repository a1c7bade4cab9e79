"""Retention, key rotation and health, for operators."""

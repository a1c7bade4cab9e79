"""The policy file: a file per group of its tables."""

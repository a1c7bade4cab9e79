"""PIN verification of phone numbers, self-hosted."""

__version__ = "0.1.0"

"""The guard against SMS pumping: what it decided, and what it would decide."""

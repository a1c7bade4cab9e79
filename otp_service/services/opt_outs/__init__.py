"""Numbers that want no messages."""

"""The vendors that messages are sent through, behind one interface."""

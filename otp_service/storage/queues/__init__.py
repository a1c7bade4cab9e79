"""Tables of work that is claimed for a time: notifications and campaign messages."""

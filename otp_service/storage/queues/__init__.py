"""Tables of work that is claimed for a time: notifications, campaign messages and webhook deliveries."""

"""Statements on tables of work that is claimed for a time: notifications, campaign messages, webhook deliveries."""

"""Webhooks: where clients want events, and the events on their way."""

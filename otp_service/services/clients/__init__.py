"""Client applications, their API keys and idempotency keys."""

"""The message that carries a PIN: what it may cost, and its way over the routes."""

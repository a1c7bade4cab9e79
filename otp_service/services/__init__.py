"""One verb per function; the services own the transactions."""

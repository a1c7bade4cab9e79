"""Tables of rate limits and failure budgets."""

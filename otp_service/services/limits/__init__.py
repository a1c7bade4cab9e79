"""Rate limits and failure budgets."""

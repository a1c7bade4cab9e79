"""Statements on the tables of rate limits and failure budgets."""

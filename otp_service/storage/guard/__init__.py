"""Statements on the tables of the guard, a file per noun."""

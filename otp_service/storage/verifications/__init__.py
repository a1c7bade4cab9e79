"""Statements on the tables of a verification."""

"""Subjects, their factors and challenges."""

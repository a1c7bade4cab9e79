"""Engines, connections and transactions of both databases; knows no table."""

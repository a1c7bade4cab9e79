"""Sends of single messages and their receipts."""

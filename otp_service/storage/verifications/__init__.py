"""Tables of a verification: its row, attempts, sends, events and receipts."""

"""What an operator asks the guard: its state, its history, what it has counted."""

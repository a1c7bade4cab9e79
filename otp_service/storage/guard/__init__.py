"""The tables of the guard, a file per noun."""

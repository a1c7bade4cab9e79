"""What operators read of the guard, and the reset of its counters."""

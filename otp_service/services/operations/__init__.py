"""Background loops, and what they and operators do: retention, key rotation, renumbering, health, the clock."""

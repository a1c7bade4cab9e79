"""What an operator sets: the environment and the policy file, checked all at once."""

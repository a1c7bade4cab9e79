"""The Campaign Manager, simulated over real HTTP."""

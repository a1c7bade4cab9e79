"""The Campaign Manager simulated over real HTTP: nothing reaches a handset, everything can be read back."""

from otp_service.simulator.app import create_simulator

__all__ = ["create_simulator"]

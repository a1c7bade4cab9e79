"""Applications that use otp_service."""

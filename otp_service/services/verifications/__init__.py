"""Start, resend, check, cancel and read verifications."""

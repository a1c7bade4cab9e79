"""Twilio Verify's interface to the same services: translates requests and responses, decides nothing."""

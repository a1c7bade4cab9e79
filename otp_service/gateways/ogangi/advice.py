"""Advice for operators about a gateway that does not answer as it should."""

_ADVICE = {
    "ok": "The gateway answers and accepts our signature.",
    "bad_signature": "The gateway refuses our signature: check the public key, the private key and the instance id.",
    "error": "The gateway answers with an error: check the instance id and the parameters, then ask the vendor.",
    "not_connected": "No connection to the gateway: check the base URL, the DNS name, the firewall, the certificate.",
    "timeout": "The gateway did not answer in time: check the network, or allow more time.",
    "connection_lost": "The gateway closed the connection without an answer: try again, then ask the vendor.",
    "unreadable": "What answers is not the Campaign Manager: check that the base URL ends with the web-app context.",
    "bad_segment": "The instance id or the public key holds a character that no URL segment can hold.",
    "url_too_long": "The text is too long for a URL: shorten it.",
    "http_404": "The gateway does not know this address: check that the base URL ends with the web-app context.",
    "http_401": "The gateway wants another login: check with the vendor that API access is on.",
    "http_403": "The gateway forbids the call: check with the vendor that our address is allowed.",
}


def advice(reason: str) -> str:
    """Return one sentence: what to do about the outcome of a harmless call."""
    status = reason.removeprefix("http_")
    other = f"The gateway answers with HTTP status {status}: check the base URL, then ask the vendor."
    return _ADVICE.get(reason, other)

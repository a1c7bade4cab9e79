"""Messages that carry no PIN."""

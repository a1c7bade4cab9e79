"""The web server's protocol with our bounds."""

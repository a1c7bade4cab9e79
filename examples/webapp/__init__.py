"""A small web application with sign-up, login with a second factor, and password reset by PIN."""

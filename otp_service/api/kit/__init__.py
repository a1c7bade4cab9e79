"""What every handler shares: bodies, problems, OpenAPI, middleware."""

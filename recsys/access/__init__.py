"""Who may ask the service for what, and who did what: API keys and the audit."""

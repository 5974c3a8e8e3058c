"""Who may do what: authentication, authorization, rate limits and audit log, each a middleware."""

"""Who may do what: authentication, authorization, rates and audit log, each a stage of its own."""

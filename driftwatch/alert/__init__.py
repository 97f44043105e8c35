"""Tell people: the incident state machine, the outbox and the words; ``receivers`` has one notifier per file."""

"""The ledger: a pure state machine from events to instructions."""

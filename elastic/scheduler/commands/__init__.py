"""What the command line and the API ask of the scheduler: backfill, clear, recover, run."""

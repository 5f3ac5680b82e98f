"""Commands of the scheduler behind the command line and the API: backfill, clear, recover, run."""

"""The loop that runs task instances: it decides, queues, dispatches and records."""

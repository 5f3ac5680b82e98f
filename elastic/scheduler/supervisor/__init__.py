"""Supervisor loop: decides, queues, dispatches and records task instances."""

"""Schedules, data intervals and timeperiods of DAGs."""

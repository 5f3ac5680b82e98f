"""Notifiers: channels by which notifications reach people and other systems."""

"""States of aggregators: their columns, validation and batches."""

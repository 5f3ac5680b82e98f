"""Hashed receipts, the stages that leave them, and the Merkle root over chunks."""

"""delete: remove a checkpoint and the layers that nothing else needs."""

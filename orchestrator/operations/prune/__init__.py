"""prune: which checkpoints a retention policy keeps."""

"""rollback: revert a domain's storage to a checkpoint, then restore its memory."""

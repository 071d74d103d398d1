"""rollback --keep-current: a checkpoint of the present state and a rollback to another one, in one operation."""

"""edit, protect: change a checkpoint's name, description, tags, expiry or protection."""

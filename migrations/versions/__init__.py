"""One file per revision, numbered, so that an older schema can be told from a newer one."""

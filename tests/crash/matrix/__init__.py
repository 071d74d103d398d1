"""The wide matrix: a client is killed, then somebody acts, or time passes, and then some verb comes next.

    verb × the call after which its client is killed × act × the verb that comes next

`watched` is a world that sees which memory meets which disks, `verbs` and `acts` are the dimensions, `oracle` is what
must hold whatever happened, and `known` has the combinations where it does not yet, and why.
"""

"""`make bench`: snapctl beside plain libvirt, side by side in one run.

statistics   what was measured, summed up (pure)     guests      identical guests to measure on
rounds       competitors take turns                  byhand      the same libvirt calls in a plain script
aims         what snapctl promises, judged (pure)    virsh       libvirt's own ways
table        results as text (pure)                  snapctl     snapctl as a library and as a command
commands     time and memory of a command            generator   catalogs with thousands of checkpoints
machine      what it was measured on

Each further module is one group of rows: its competitors and its aims. `__main__` lists the groups.
"""

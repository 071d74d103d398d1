"""Random histories: several domains, two clients, faults, owners who do as they like; held against a simple model.

`expectation` is the model: pure values. `history` plays one step at a time on the in-memory hypervisor with
the real catalog and coordinator, and holds all that must hold after each. `generator` lets Hypothesis
choose the steps. A history that fails is printed as a script that plays it again (`script`).
"""

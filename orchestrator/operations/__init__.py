"""The operations, a folder each: `facts` gathers, `plan` decides (pure), `story` does it step by step.

A planner takes facts and gives a plan or a refusal: no clock, no ids of its own, no effects. Every refusal
comes from there, before the first effect (order rule 1). A story reads from top to bottom in the order in
which its steps happen; it decides nothing that a plan could decide, and knows neither libvirt nor SQL.
`registry` is the one list of them; `shared` is what several have in common.
"""

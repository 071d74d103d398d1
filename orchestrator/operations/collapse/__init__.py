"""collapse, flatten: move the data of backing files up, so that they can go."""

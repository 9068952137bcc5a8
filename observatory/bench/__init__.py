"""Measuring, as a product feature: the product beside the raw engine, in alternation, in the same run.

`frame` knows how to measure honestly (medians, spread, disturbed runs repeated); each other module is one
benchmark that `observatory bench NAME` runs.
"""

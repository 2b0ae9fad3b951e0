"""Documents made from the code: what a consumer is told of the events, for people and for tools.

Each is a function of the registered domains and the published schemas; `make documents` writes them into the tree, and
a test fails while one of them is stale.
"""

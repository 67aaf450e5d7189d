"""Thirteen tasks as people give them to agents: the home that they are about, and how a model does them."""

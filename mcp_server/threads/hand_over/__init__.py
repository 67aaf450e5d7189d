"""Threads handed over to people and to other homes: exports in four formats, and the import of a bundle."""

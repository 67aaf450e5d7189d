"""Search in names and messages: the index of words ranks threads, that of trigrams finds parts of words and code, and
the rollouts decide what matches."""

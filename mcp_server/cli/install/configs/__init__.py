"""The formats of config files: each reads one, and puts an entry in or takes it out, and leaves all else as it was."""

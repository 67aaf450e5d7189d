"""The commands that show and change threads from a shell, over the same verbs as the server's tools."""

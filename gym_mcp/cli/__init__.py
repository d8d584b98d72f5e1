"""The command line: one file a noun, each imported only when its command runs."""

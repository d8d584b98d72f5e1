"""Agents that are programs of their own: how they are installed, started, contained, served and ended."""

"""The small process between the coordinator and an agent: it ends all that the agent has started.

It runs without site-packages and imports little: every rollout pays for it.
"""

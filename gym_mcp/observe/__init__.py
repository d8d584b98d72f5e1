"""A run as it goes on: what its rollouts do, a control socket, metrics and spans for whoever asked for them."""

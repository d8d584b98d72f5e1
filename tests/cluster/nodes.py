"""A Ray cluster of several nodes on this machine, as a process: `python -m tests.cluster.nodes`.

Prints its address and its folder. Commands on stdin, each answered with a line when it is done: `add JSON`
(options of a node) and `kill` (the node that was added last, as a power cut does). It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

SMALL = {"num_cpus": 2, "object_store_memory": 80 << 20}


def main() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    nodes = []
    say(f"{cluster.address} {cluster.head_node.get_session_dir_path()}")
    for line in sys.stdin:
        command, _, options = line.partition(" ")
        if command == "add":
            nodes.append(cluster.add_node(**{**SMALL, **json.loads(options)}))
        else:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        say("done")
    cluster.shutdown()


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

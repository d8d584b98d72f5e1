#!/bin/sh
# rollout.sh RUN ROLLOUT_ID: one rollout, its items and its ledger numbered as quotations name them.
set -eu
if [ "$#" -ne 2 ]; then
    echo "usage: rollout.sh RUN ROLLOUT_ID" >&2
    exit 2
fi
exec gym-mcp analyze show "$1" "$2"

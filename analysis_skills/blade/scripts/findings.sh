#!/bin/sh
# findings.sh RUN OUT [EARLIER_RUN]: the computed part of the analysis.
set -eu
if [ "$#" -lt 2 ] || [ "$#" -gt 3 ]; then
    echo "usage: findings.sh RUN OUT [EARLIER_RUN]" >&2
    exit 2
fi
if [ "$#" -eq 3 ]; then
    exec gym-mcp analyze run "$1" -o "$2" --against "$3"
fi
exec gym-mcp analyze run "$1" -o "$2"

#!/bin/sh
# check.sh REPORT RUN [EARLIER_RUN]: re-execute every claim of a report.
set -eu
if [ "$#" -lt 2 ] || [ "$#" -gt 3 ]; then
    echo "usage: check.sh REPORT RUN [EARLIER_RUN]" >&2
    exit 2
fi
if [ "$#" -eq 3 ]; then
    exec gym-mcp analyze check "$1" --run "$2" --run2 "$3"
fi
exec gym-mcp analyze check "$1" --run "$2"

# shellcheck shell=bash

# wait_until COMMAND...: until it succeeds; after half a minute the test has failed.
wait_until() {
  local end=$((SECONDS + 30))
  until "$@"; do
    ((SECONDS < end)) || { echo "still not so: $*" >&2; return 1; }
    sleep .01
  done
}

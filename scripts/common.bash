# shellcheck shell=bash
# Sourced by the scripts beside it: messages, help, and the folder of the checkout.

readonly script=${0##*/}
top=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
# shellcheck disable=SC2034  # for those who source this
readonly top

say() { printf '%s: %s\n' "$script" "$*" >&2; }

# die MESSAGE [HINT [STATUS]]
die() {
  say "error: $1"
  [[ -z ${2-} ]] || say "hint: $2"
  exit "${3:-1}"
}

# The comment at the head of a script is its help.
help() {
  awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
  exit 0
}

usage_error() { die "$1" "try '$script --help'" 2; }

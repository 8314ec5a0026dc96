#!/usr/bin/env bash
# usage: format.sh [--check] [FILE...]
#
# Formats C++ sources with clang-format 14 after .clang-format; all that git knows when none is
# named. --check changes nothing and ends with status 1 when a file would change.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "$(readlink -f "$0")")/common.bash"

action=(-i)
files=()
for argument; do
  case $argument in
    --check) action=(--dry-run -Werror) ;;
    -h | --help) help ;;
    -*) usage_error "unknown option '$argument'" ;;
    *) files+=("$(readlink -f "$argument")") ;;
  esac
done
command -v clang-format-14 >/dev/null || die "clang-format-14 is missing" "run scripts/install-packages --lint"
cd "$top"
((${#files[@]} > 0)) || mapfile -t files < <(git ls-files '*.cpp' '*.h')
clang-format-14 "${action[@]}" "${files[@]}"

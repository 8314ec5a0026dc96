#!/usr/bin/env bash
# usage: lint.sh [--preset PRESET] [--cppcheck] [FILE...]
#
# Runs clang-tidy 14 after .clang-tidy over the .cpp files named (default: all below lib and tools)
# with the compile commands of PRESET (default: dev), two files at a time. --cppcheck runs cppcheck
# over them as well. Status 1 when there is a finding.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "$(readlink -f "$0")")/common.bash"

preset=dev
cppcheck=false
files=()
while (($# > 0)); do
  case $1 in
    --preset)
      (($# > 1)) || usage_error "--preset needs a name"
      preset=$2
      shift
      ;;
    --cppcheck) cppcheck=true ;;
    -h | --help) help ;;
    -*) usage_error "unknown option '$1'" ;;
    *) files+=("$(readlink -f "$1")") ;;
  esac
  shift
done
command -v clang-tidy-14 >/dev/null || die "clang-tidy-14 is missing" "run scripts/install-packages --lint"
cd "$top"
[[ -f build/$preset/compile_commands.json ]] || die "build/$preset is not configured" "run scripts/build $preset"
((${#files[@]} > 0)) || mapfile -t files < <(git ls-files 'lib/reef/*.cpp' 'tools/*.cpp')
status=0
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P 2 clang-tidy-14 --quiet -p "build/$preset" --warnings-as-errors='*' || status=1
if $cppcheck; then
  cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --error-exitcode=1 -I lib "${files[@]}" || status=1
fi
exit "$status"

#!/usr/bin/env bash
# usage: fuzz.sh SECONDS [NAME...]
#
# Builds the fuzz targets (tests/fuzz/fuzz_NAME.cpp; default: all) with clang++ 14, libFuzzer, address
# and undefined-behaviour sanitizers in build/fuzz, and runs each for SECONDS. Inputs that add
# coverage go to build/fuzz/corpus/; one that breaks the program goes to build/fuzz/found/, is
# printed, and ends the run with status 1. Add it to tests/fuzz/corpus/ with the mend.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "$(readlink -f "$0")")/common.bash"

[[ ${1-} != -h && ${1-} != --help ]] || help
[[ ${1-} =~ ^[1-9][0-9]*$ ]] || usage_error "the first argument is a number of seconds"
readonly seconds=$1
shift
command -v clang++-14 >/dev/null || die "clang++-14 is missing" "run scripts/install-packages --lint"
cd "$top"

names=("$@")
if ((${#names[@]} == 0)); then
  for source in tests/fuzz/fuzz_*.cpp; do
    source=${source##*/fuzz_}
    names+=("${source%.cpp}")
  done
fi
for name in "${names[@]}"; do
  [[ -f tests/fuzz/fuzz_$name.cpp ]] || die "there is no tests/fuzz/fuzz_$name.cpp" "" 2
done

cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=clang++-14 -DREEF_FUZZ=ON \
  -DCMAKE_CXX_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" >/dev/null
cmake --build build/fuzz --target "${names[@]/#/fuzz_}"
status=0
mkdir -p build/fuzz/found
for name in "${names[@]}"; do
  mkdir -p "build/fuzz/corpus/$name"
  say "$name for $seconds s"
  seeds=()
  [[ ! -d tests/fuzz/corpus/fuzz_$name ]] || seeds=("tests/fuzz/corpus/fuzz_$name")
  program=$(find build/fuzz -type f -name "fuzz_$name" -perm -u+x | head -n 1)
  "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/found/$name-" "build/fuzz/corpus/$name" "${seeds[@]}" || status=1
done
((status == 0)) || say "found something: see build/fuzz/found"
exit "$status"

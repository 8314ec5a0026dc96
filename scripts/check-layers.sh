#!/usr/bin/env bash
# usage: check-layers.sh
#
# Checks what the compiler cannot, since all modules share one include folder:
#   - a module's USES in lib/CMakeLists.txt keep to the direction in the table below;
#   - a file includes headers only of its own module and of those that it uses, directly or not;
#   - <module>/internal/ is included only from within the module, its tests and helpers (tools/libexec);
#   - headers of vendors stay in .cpp files of the modules that carry the library;
#   - json.hpp, which costs 1.5 s a file, stays in report*.cpp, internal/ and the files named below.
# Prints each fault as file:line: what; status 1 when there is one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "$(readlink -f "$0")")/common.bash"

[[ ${1-} != -h && ${1-} != --help ]] || help
(($# == 0)) || usage_error "unexpected argument '$1'"
cd "$top"

# What each module may use; a new module is added here first.
declare -A allowed=(
  [core]='' [io]='core' [tree]='io' [model]='tree' [text]='tree' [embed]='model text' [vector]='io'
  [document]='text embed vector' [session]='text embed vector' [memory]='session' [retrieve]='document session memory' [backup]='tree'
  [persona]='document session memory backup' [recover]='backup model persona retrieve' [cli]='core'
)
# Which modules and tools may include a vendor's header. "tools" is tools/reef-*, "libexec" the helpers.
declare -A vendors=(
  ['sqlite3\.h']='io text' ['zstd\.h']='backup persona' ['yaml-cpp/']='tree' ['CLI/']='cli tools' ['curl/']='libexec'
  ['libxml/']='libexec' ['archive(_entry)?\.h']='libexec' ['utf8proc\.h']='core text embed'
  ['faiss/']='libexec' ['omp\.h']='libexec'
)
# cli/app.h is what the tools bind their options to.
readonly vendor_in_header='lib/reef/cli/app.h'
# Files whose whole job is to read or write JSON.
readonly json_files='(/report(_[a-z]+)?|/internal/[^/]+)\.cpp$|^lib/reef/(core/json\.h|(cli/(run|completion)|io/http|text/(json|jsonl)|document/(originals|id_mapping))\.cpp)$|^tools/(common/batch_lines|libexec/[^/]+)\.cpp$'

faults=0
fault() {
  printf '%s\n' "$*"
  faults=$((faults + 1))
}

contains() { [[ " $1 " == *" $2 "* ]]; }

# Everything that $1 may include: itself and, through the edges, what is below.
declare -A uses below
closure() {
  local module=$1 edge
  [[ -z ${below[$module]-} ]] || return 0
  below[$module]=$module
  for edge in ${uses[$module]-}; do
    closure "$edge"
    below[$module]+=" ${below[$edge]}"
  done
}

while read -r module edges; do
  [[ -n ${allowed[$module]+known} ]] || fault "lib/CMakeLists.txt: module '$module' is not in the table of $script"
  uses[$module]=$edges
  for edge in $edges; do
    contains "${allowed[$module]-}" "$edge" || fault "lib/CMakeLists.txt: $module must not use $edge"
  done
done < <(sed -nE 's/^reef_module\(([a-z]+)( USES ([a-z ]+))?( LINKS .*)?\).*/\1 \3/p' lib/CMakeLists.txt)
for module in "${!uses[@]}"; do closure "$module"; done

# Every include below lib and tools as "file:line:header".
while IFS=: read -r file line header; do
  case $file in
    lib/reef/*) rest=${file#lib/reef/} owner=${rest%%/*} ;;
    tools/libexec/*) owner=libexec ;;
    *) owner=tools ;;
  esac
  [[ $header != reef/core/json.h || $file =~ $json_files ]] || fault "$file:$line: $header brings json.hpp: it belongs into report.cpp or internal/"
  if [[ $header == reef/* ]]; then
    rest=${header#reef/} target=${rest%%/*}
    if [[ $owner != tools && $owner != libexec ]] && ! contains "${below[$owner]-}" "$target"; then
      fault "$file:$line: $owner must not include $header"
    fi
    [[ $header != */internal/* || $owner == "$target" || $owner == libexec ]] || fault "$file:$line: $header is internal to $target"
    continue
  fi
  for pattern in "${!vendors[@]}"; do
    [[ $header =~ ^$pattern ]] || continue
    contains "${vendors[$pattern]}" "$owner" || fault "$file:$line: $owner must not include $header"
    [[ $file == *.cpp || $file == "$vendor_in_header" ]] || fault "$file:$line: $header belongs into a .cpp file"
  done
  [[ $header != nlohmann/json.hpp || $file =~ $json_files ]] || fault "$file:$line: json.hpp belongs into report.cpp or internal/"
done < <(grep -rnE --include='*.h' --include='*.cpp' --include='*.inl' '^#include [<"]' lib/reef tools |
  sed -E 's/^([^:]+:[0-9]+:)#include [<"]([^>"]+).*/\1\2/')

# Tests may look into the module that they test, and into no other.
while IFS=: read -r file line header; do
  rest=${file#tests/unit/} owner=${rest%%/*}
  [[ $header == reef/$owner/* ]] || fault "$file:$line: $header is internal to another module"
done < <(grep -rnoE --include='*.h' --include='*.cpp' '"reef/[a-z]+/internal/[^"]+' tests/unit | sed 's/"//')

((faults == 0)) || say "$faults faults"
((faults == 0))

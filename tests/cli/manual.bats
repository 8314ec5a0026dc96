#!/usr/bin/env bats
# The manual says what the programs do, no less and no more. REEF_BIN is the folder of the executables.

setup() {
  export LC_ALL=C.UTF-8
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
}

@test "every option and verb of a program is in its page, and the other way round" {
  faults=0
  for program in "${REEF_BIN:?set REEF_BIN to the folder of the executables}"/reef-*; do
    page=$(compgen -G "$top/man/${program##*/}.[18].scd.in") || {
      echo "${program##*/} has no page"
      faults=1
      continue
    }
    "$program" --generate json | python3 "$top/tests/manual/compare_options.py" "$page" "$top/man/common_options.scdpart" || faults=1
  done
  [ "$faults" -eq 0 ]
}

@test "pages refer to pages that exist" {
  for page in "$top"/man/*.scd.in; do
    while IFS='*()' read -r _ name _ section _; do
      [ -e "$top/man/$name.$section.scd.in" ] || {
        echo "${page##*/} refers to $name($section)"
        return 1
      }
    done < <(grep -oE '\*reef[-a-z]*\*\([1-8]\)' "$page")
  done
}

@test "every exit status of the pages is one that a program can end with" {
  statuses=$(grep -oE '^\*[0-9]+\*' "$top/man/exit_status.scdpart" | tr -d '*' | tr '\n' ' ')
  [ "$statuses" = "0 1 2 3 4 5 6 130 " ]
  run "$REEF_BIN/reef-init" --no-such-option
  [ "$status" -eq 2 ]
  run "$REEF_BIN/reef-index" stat --root ./none
  [ "$status" -eq 5 ]
}

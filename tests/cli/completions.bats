#!/usr/bin/env bats
# Completions of the three shells: committed as generated, and working. REEF_BIN is the folder of
# the executables.

setup() {
  export LC_ALL=C.UTF-8
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  completions=$(cd "$BATS_TEST_DIRNAME/../../completions" && pwd)
  cd "$BATS_TEST_TMPDIR"
  mkdir folder
  touch 'folder/a question.jsonl' notes.md
}

# in_bash WORD...: what bash offers for the last word.
in_bash() {
  bash -c '
    . "$1/$2.bash"
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    "_${1//-/_}" 2>/dev/null
    printf "%s\n" "${COMPREPLY[@]}"' _ "$completions" "$@"
}

in_fish() { fish --no-config -c "source $completions/${1%% *}.fish; complete -C '$1'" | cut -f 1; }

# in_zsh LINE PATTERN: an interactive zsh shows something like PATTERN when Tab is pressed behind LINE.
in_zsh() {
  timeout 20 zsh -f -c '
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "PROMPT= RPROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; setopt no_beep list_packed; echo REA\"\"DY"
    zpty -r -m shell screen "*READY*"
    zpty -n -w shell "$2"$'"'\\t\\t'"'
    zpty -r -m shell screen "$3"' zsh "$completions" "$1" "$2"
}

need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

@test "completions are committed as the programs generate them (scripts/update-generated)" {
  for program in "$REEF_BIN"/reef-*; do
    name=${program##*/}
    "$program" --generate bash | diff "$completions/$name.bash" -
    "$program" --generate zsh | diff "$completions/_$name" -
    "$program" --generate fish | diff "$completions/$name.fish" -
  done
}

@test "bash: verbs, options of a verb, values, files where files belong" {
  [ "$(in_bash reef-index que)" = query ]
  [ "$(in_bash reef-index query --mod)" = --mode ]
  [ "$(in_bash reef-index query --mode h)" = hybrid ]
  [ "$(in_bash reef-index query --mode = d)" = dense ]
  [ "$(in_bash reef-init --layout st)" = standard ]
  [ "$(in_bash reef-index query --batch 'folder/')" = 'folder/a question.jsonl' ]
  [ "$(in_bash reef-index ingest no)" = notes.md ]
  [ "$(in_bash reef-index --root fo)" = folder ]
  [ -z "$(in_bash reef-index --root no)" ]
  [ -z "$(in_bash reef-index query --persona no)" ]
  [ -z "$(in_bash reef-index show no)" ]
  [[ " $(in_bash reef-index ingest --root x - | tr '\n' ' ') " == *" --prune "*" --json "* ]]
}

@test "fish: the same" {
  need fish
  [ "$(in_fish 'reef-index que')" = query ]
  [ "$(in_fish 'reef-index query --mod')" = --mode ]
  [ "$(in_fish 'reef-index query --mode h')" = hybrid ]
  [ "$(in_fish 'reef-init --layout st')" = standard ]
  [ "$(in_fish 'reef-index ingest no')" = notes.md ]
  [ -z "$(in_fish 'reef-index show no')" ]
  [ -z "$(in_fish 'reef-index no')" ]
}

@test "zsh: the same" {
  need zsh
  in_zsh 'reef-index que' '*query*'
  in_zsh 'reef-index query --mode ' '*bm25*dense*hybrid*'
  in_zsh 'reef-index query --no-to' '*--no-touch*'
  in_zsh 'reef-init --layout sta' '*standard*'
  in_zsh 'reef-index ingest not' '*notes.md*'
}

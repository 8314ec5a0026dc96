#!/usr/bin/env bats
# reef-memory consolidate with a language model: what it is asked, what it changes, and that nothing needs it.
# REEF_BIN is the folder of the executables. The model is tests/support/chat_server.py.

bats_require_minimum_version 1.5.0
load prepared_tree
load wait_until

setup_file() {
  prepare_tree alice bob
}

setup() {
  use_tree
  cat >talk.jsonl <<'TALK'
{"session":"s","role":"user","content":"Did you see that?","created_at":"2024-03-01T10:00:00.000Z","id":"m1"}
{"session":"s","role":"assistant","content":"The precious harbour was painted","created_at":"2024-03-01T10:01:00.000Z","id":"m2"}
{"session":"s","role":"user","content":"A dull museum of bicycles near Lisbon","created_at":"2024-03-01T10:02:00.000Z","id":"m3"}
{"session":"s","role":"user","content":"Some violin music of telescopes in May","created_at":"2024-03-01T10:03:00.000Z","id":"m4"}
{"session":"t","role":"user","content":"The violin is mine","created_at":"2024-03-02T10:00:00.000Z","id":"m5","title":"A title","summary":"What people wrote"}
TALK
  reef-session import talk.jsonl --persona alice -q
  mkfifo stop
  python3 "$BATS_TEST_DIRNAME/../support/chat_server.py" "$PWD/port" "$PWD/log" <stop 3>&- &
  server=$!
  exec 8>stop
  wait_until [ -e port ]
  touch log
  echo secret-for-tests >key
  configure plain
}

teardown() {
  exec 8>&-
  wait "$server" || true
}

# configure MODEL [URL] [TIMEOUT]: everything waits in the buffer; without MODEL there is no language model.
configure() {
  printf 'memory:\n  weights:\n    unlike: 0\n  thresholds:\n    discard: 0\n    remember: 1\n' >root/config/system.yaml
  [ -z "${1-}" ] || printf 'endpoints:\n  llm:\n    url: %s\n    model: %s\n    key_file: %s\n    timeout_seconds: %s\n' \
    "${2:-http://127.0.0.1:$(cat port)/v1}" "$1" "$PWD/key" "${3:-30}" >>root/config/system.yaml
}

# field PYTHON < JSON: an expression over the object `o`.
field() { python3 -c 'import json, sys; o = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
decide() { reef-memory consolidate --persona alice --now 2024-03-09 --threads 1 "$@"; }
decisions() { python3 -c 'import sqlite3, sys; [print(*row) for row in sqlite3.connect(sys.argv[1]).execute("SELECT rank, message, state, score, second_score, memory, model, model_score, model_reason FROM decisions ORDER BY rank")]' "root/data/memories/${1:-alice}/memories.sqlite"; }
requests() { wc -l <log; }
leftovers() { find root/data/memories -name '*http*'; }

@test "nothing is sent without endpoints.llm.url, nor with --no-llm, and decisions are the same" {
  cp -a root without
  configure ""
  [ "$(decide --json | field 'o["language_model"], o["remembered"] + o["dropped"]')" = '(None, 5)' ]
  decisions >expected
  configure plain
  rm -r root/data && cp -a without/data root/data
  run --separate-stderr decide --no-llm --json
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [ "$(field 'o["language_model"]' <<<"$output")" = None ]
  decisions | cmp - expected
  [ "$(requests)" -eq 0 ]
  [ "$(reef-session list --json | head -n 1 | field 'o["summary"], o["summary_model"]')" = '(None, None)' ]
}

@test "it is asked once, its term is kept and shown, and its summary stands with its sources" {
  run --separate-stderr decide --json --explain
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [ "$(tail -n 1 <<<"$output" | field '[o["language_model"][k] for k in ("model", "requests", "asked", "answered", "fell_back", "summaries", "not_summarised")]')" = "['plain', 3, 5, 5, 0, 1, 0]" ]
  [ "$(grep '"m2"' <<<"$output" | tail -n 1 | field 'o["language_model"]["score"], o["language_model"]["adds"], o["state"]')" = "(1.0, 0.2, 'remembered')" ]
  [ "$(grep -c '"key": "Bearer secret-for-tests"' log)" -eq 3 ]
  run reef-memory show M1 --persona alice
  [[ "$output" == *"plain gave it 1.00, which adds +0.20: it says The precious harbour"* ]]
  [ "$(reef-memory show M1 --persona alice --json | field 'o["decisions"][0]["language_model"]["reason"][:7]')" = 'it says' ]

  run reef-session show s
  [[ "${lines[1]}" == "summary, by plain:" ]]
  [[ "${lines[3]}" == "  assistant said: The precious harbour was painted. [m2]" ]]
  [ "$(reef-session show s --json | head -n 1 | field 'o["schema"], o["model"], o["sentences"][1]["external_ids"], len(o["sentences"])')" = "('reef.session.summary/1', 'plain', ['m2'], 4)" ]
  [ "$(reef-session show s --json | sed -n 2p | field 'o["schema"]')" = reef.session.show/1 ]
  [ "$(reef-session list --json | head -n 1 | field 'o["summary_model"]')" = plain ]
  reef-session verify
  reef-memory verify

  run --separate-stderr decide
  [ "$status" -eq 0 ]
  [ "$output" = "alice: already so; nothing to decide" ]
  [ "$(requests)" -eq 3 ]
  run decide --explain
  [[ "$output" != *"gave"* ]]
}

@test "a run for people says what was summarised, and --explain what the model gave" {
  run --separate-stderr decide --explain
  [ "$status" -eq 0 ]
  [[ "$output" == *", plain gave 1.00: +0.20 (it says The precious harbour was painted) -> M"* ]]
  [[ "${lines[-1]}" == "alice: "*" remembered, "*"; 1 session summarised" ]]
}

@test "what goes wrong is told once, changes no decision, and the status stays 0" {
  sed 's/"\([st]\)"/"bob-\1"/' talk.jsonl | reef-session import - --persona bob -q
  cp -a root without
  configure ""
  reef-memory consolidate --all --now 2024-03-09 --threads 1 -q
  decisions alice >alice
  decisions bob >bob
  wrong() {
    rm -r root/data && cp -a without/data root/data
    run --separate-stderr reef-memory consolidate --all --now 2024-03-09 --threads 1 --json
    [ "$status" -eq 0 ]
    [ "$(grep -c 'warning: ' <<<"$stderr")" -eq 1 ]
    [[ "$stderr" == *"warning: the language model "*"$1"* ]]
    [[ "$stderr" != *secret* ]]
    decisions alice | cmp - alice
    decisions bob | cmp - bob
    [ "$(head -n 1 <<<"$output" | field 'o["language_model"]["fell_back"], o["language_model"]["answered"]')" = '(5, 0)' ]
    [ "$(tail -n 1 <<<"$output" | field 'o["persona"], o["language_model"]["fell_back"], o["language_model"]["summaries"]')" = "('bob', 5, 0)" ]
  }
  configure prose
  wrong 'no JSON'
  [ "$(requests)" -eq 3 ]
  configure error
  wrong 'out of memory'
  [ "$(requests)" -eq 7 ]
  configure never "" 1
  wrong 'timeout_seconds'
  [ "$(requests)" -eq 8 ]
  configure plain http://127.0.0.1:1/v1
  wrong 'is the service running'
  echo secret-that-is-wrong >key
  configure locked
  wrong 'endpoints.llm.key_file'
  [ "$(requests)" -eq 9 ]
}

@test "the key is in no argument, environment or file, and a run that is killed while it waits goes on" {
  cp -a root without
  decide -q
  decisions >expected
  rm -r root/data && cp -a without/data root/data
  configure never
  reef-memory consolidate --persona alice --now 2024-03-09 --threads 1 -vv >said 2>&1 3>&- 8>&- &
  child=$!
  wait_until grep -q '"model": "never"' log
  [ -n "$(leftovers)" ]
  [ -n "$(grep -ral precious root/data/memories)" ]  # the request, for this user alone
  [ -z "$(find root/data/memories/alice -path '*http*' -perm /077)" ]
  for process in /proc/[0-9]*; do
    grep -aq secret-for-tests "$process/cmdline" "$process/environ" 2>/dev/null && false
  done
  [ -z "$(grep -ral secret-for-tests root)" ]
  kill -KILL "$child"
  wait "$child" || true
  [ -z "$(grep -a secret said)" ]
  configure plain
  decide -q
  decisions | cmp - expected
  reef-memory verify
  [ -z "$(leftovers)" ]
}

@test "a summary that was made is not exported, and one that came stays as it is" {
  decide -q
  reef-session export -o out.jsonl -q
  cmp out.jsonl talk.jsonl
  reef-session import out.jsonl --persona alice -q
  [ "$(reef-session show s --json | head -n 1 | field 'o["model"]')" = plain ]
  [ "$(reef-session list --json | tail -n 1 | field 'o["summary"], o["summary_model"]')" = "('What people wrote', None)" ]
  # Who brings one later has the last word.
  sed -i '1s/}$/,"summary":"Brought later"}/' out.jsonl
  reef-session import out.jsonl --persona alice -q
  decide -q
  [ "$(reef-session list --json | head -n 1 | field 'o["summary"], o["summary_model"]')" = "('Brought later', None)" ]
  reef-session export -o - | cmp - out.jsonl
  reef-session verify
}

@test "verify finds a summary whose sources are not there" {
  decide -q
  python3 -c 'import sqlite3; d = sqlite3.connect("root/data/conversations/conversations.sqlite"); d.execute("UPDATE summary_sources SET message = 5 WHERE number = 2"); d.commit()'
  run reef-session verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"1 sources of summaries are no messages of their session"* ]]
}

@test "what is forgotten or deleted is in no summary and no reason" {
  printf 'storage:\n  archive: %s\n' "$PWD/away" >>root/config/system.yaml
  mkdir away
  decide -q
  [ -n "$(grep -ral precious root)" ]
  run reef-memory forget --matching precious --with-source --persona alice --dry-run
  [[ "$output" == *"session s"*"the summary by a language model removed"* ]]
  reef-memory forget --matching precious --with-source --persona alice --yes -q
  [ -z "$(grep -ral precious root)" ]
  [ "$(reef-session list --json | head -n 1 | field 'o["summary"]')" = None ]
  : >log
  decide -q
  [ "$(requests)" -eq 1 ]
  [ "$(grep -c precious log)" -eq 0 ]
  [ "$(reef-session show s --json | head -n 1 | field 'len(o["sentences"])')" = 3 ]

  reef-session archive s -q
  [ -z "$(grep -ral 'said:' away)" ]
  [ "$(reef-session show s --json | head -n 1 | field 'o["model"]')" = plain ]
  reef-session verify
  reef-session delete s --yes -q
  [ -z "$(grep -ral 'said: A dull' root)" ]
  reef-session verify
}

@test "usage: no model, no key, no address; and a warning where others can listen" {
  configure '""'
  run decide
  [ "$status" -eq 2 ]
  [[ "$output" == *"endpoints.llm.model is empty"* ]]
  configure plain ftp://127.0.0.1/v1
  run decide
  [ "$status" -eq 2 ]
  [[ "$output" == *"endpoints.llm.url is"* ]]
  configure plain
  rm key
  run decide
  [ "$status" -eq 2 ]
  [[ "$output" == *"endpoints.llm.key_file"* ]]
  [ "$(requests)" -eq 0 ]
  [ ! -e root/data/memories/alice/memories.sqlite ]
  decide --no-llm -q
  echo k >key
  configure plain http://192.0.2.1/v1?token=hidden
  run --separate-stderr reef-memory consolidate --persona bob --now 2024-03-09
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"unencrypted: http://192.0.2.1/v1"* ]]
  [[ "$stderr" != *hidden* ]]
}

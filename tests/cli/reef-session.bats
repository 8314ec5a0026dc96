#!/usr/bin/env bats
# reef-session on the command line: good runs, and bad input of which each must name what to do.
# REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0
load wait_until

setup() {
  export LC_ALL=C REEF_ROOT="$BATS_TEST_TMPDIR/root"
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  cd "$BATS_TEST_TMPDIR"
  reef-init --persona alice --persona bob -q
  cat >talk.jsonl <<'END'
{"session":"s1","role":"user","speaker":"Ann","content":"The harbour lamp is broken.","created_at":"2026-01-01T08:00:00Z","id":"m1","tokens":6,"metadata":{"b":1.50,"a":[null,{"x":"y"}]},"title":"Harbour"}
{"session":"s1","role":"assistant","content":"Call the keeper.","created_at":1767254500,"id":"m2"}
{"session":"s2","role":"user","content":"Oakum and pitch?","created_at":"2026-01-02 09:00:00"}
END
}

# field PYTHON < JSON: an expression over the object `o`.
field() { python3 -c 'import json, sys; o = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

# archive_on: a folder for archived sessions.
archive_on() {
  mkdir -p archive
  printf 'storage:\n  archive: %s\n' "$PWD/archive" >root/config/system.yaml
}

@test "import, list, show: a second run is already so, a changed message is updated" {
  run reef-session import talk.jsonl --persona alice
  [ "$status" -eq 0 ]
  [[ "$output" == "alice: 3 messages added in 2 new sessions; "* ]]
  run reef-session import talk.jsonl --persona alice
  [ "$status" -eq 0 ]
  [ "$output" = "already so; 3 messages unchanged" ]
  sed -i 's/is broken/is mended/' talk.jsonl
  [ "$(reef-session import - --persona alice --json <talk.jsonl | field '(o["added"], o["updated"], o["unchanged"], o["changed"])')" = '(0, 1, 2, True)' ]
  run reef-session list --json
  [ "${#lines[@]}" -eq 2 ]
  [ "$(field '(o["session"], o["persona"], o["messages"], o["title"], o["first"], o["last"])' <<<"${lines[0]}")" = "('s1', 'alice', 2, 'Harbour', '2026-01-01T08:00:00.000Z', '2026-01-01T08:01:40.000Z')" ]
  run reef-session show s1
  [[ "$output" == *"lamp is mended"*"Call the keeper"* ]]
  run reef-session show s1 --json
  [ "$(field '(o["external_id"], o["speaker"], o["tokens"], o["metadata"]["b"])' <<<"${lines[0]}")" = "('m1', 'Ann', 6, 1.5)" ]
  run reef-session list --persona bob --json
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  reef-session verify
}

@test "bad lines are named with file and line, the good ones are kept" {
  printf '%s\n' '{"session":"s","role":"user","content":null}' '{"session":"s","role":"","content":"x"}' 'nonsense' '' \
    '{"session":"s","role":"user","content":"kept","created_at":"2026-01-01","id":"k"}' '{"role":"user","content":"x"}' \
    '{"session":"s","role":"user","content":"x","created_at":"yesterday"}' '{"session":"s","role":"user","content":"x","tokens":-1}' >bad.jsonl
  printf '{"session":"s","role":"user","content":"cut' >>bad.jsonl
  run reef-session import bad.jsonl --persona alice
  [ "$status" -eq 3 ]
  for what in ':1: content is null' ':2: role is missing' ':3: not JSON' ':6: session is missing' ":7: created_at 'yesterday' is not a time" ':8: tokens is no count' ':9: cut off'; do
    [[ "$output" == *"bad.jsonl$what"* ]]
  done
  [ "$(reef-session show s --json | field 'o["content"]')" = kept ]
  [ "$(reef-session import bad.jsonl --persona alice --json | field '(o["skipped"], o["faults"][0]["line"], len(o["faults"]))')" = '(7, 1, 7)' ]
}

@test "lines and values beyond all measure are passed over, the rest comes in" {
  long() { head -c 70000000 /dev/zero | tr '\0' x; }
  { printf '{"session":"s","role":"user","content":"' && long && printf '"}\n{"session":"s","role":"user","content":"kept","id":"k"}\n'; } >long.jsonl
  run reef-session import long.jsonl --persona alice
  [ "$status" -eq 3 ]
  [[ "$output" == *"long.jsonl:1: longer than 64 MiB"*"1 message added"* ]]
  { printf '[{"messages":[{"role":"u","content":"' && long && printf '"}]},\n{"messages":[{"role":"u","content":"kept, too"}]}]'; } >long.json
  run reef-session import - --persona alice <long.json
  [ "$status" -eq 3 ]
  [[ "$output" == *"stdin:1: longer than 64 MiB"*"1 message added"* ]]
}

@test "who is unknown or not there is said before anything is written" {
  run reef-session import talk.jsonl --persona alcie
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'alice'?"* ]]
  run reef-session import talk.jsonl none.jsonl --persona alice
  [ "$status" -eq 5 ]
  [[ "$output" == *"none.jsonl"* ]]
  [ ! -e root/data/conversations/conversations.sqlite ]
  run reef-session import "$PWD" --persona alice
  [ "$status" -eq 2 ]
  for verb in 'show s1' list 'export -o -' verify 'delete s1 -y'; do
    run reef-session $verb
    [ "$status" -eq 5 ]
    [[ "$output" == *"reef-session import"* ]]
  done
  reef-session import talk.jsonl --persona alice -q
  run reef-session show s3
  [ "$status" -eq 5 ]
  [[ "$output" == *"no session 's3'"*"reef-session list"* ]]
  run reef-session import talk.jsonl --persona alice --format xml
  [ "$status" -eq 2 ]
}

@test "a session of another persona is refused once, and --prefix gives it another name" {
  reef-session import talk.jsonl --persona alice -q
  run reef-session import talk.jsonl --persona bob
  [ "$status" -eq 3 ]
  [ "$(grep -c "session 's1' is alice's (--prefix" <<<"$output")" -eq 1 ]
  reef-session import talk.jsonl --persona bob --prefix bob- -q
  [ "$(reef-session list --persona bob | tail -n +2 | cut -d ' ' -f 1 | xargs)" = 'bob-s1 bob-s2' ]
}

@test "messages without an id or a time: the same run twice adds nothing, equal ones are told apart" {
  printf '{"session":"s","role":"user","content":"%s"}\n' yes yes no yes >plain.jsonl
  [ "$(reef-session import plain.jsonl --persona alice --json | field 'o["added"]')" = 4 ]
  [ "$(reef-session import - --persona alice --json < <(cat plain.jsonl) | field '(o["added"], o["unchanged"])')" = '(0, 4)' ]
  printf '{"session":"s","role":"user","content":"yes"}\n' >>plain.jsonl
  [ "$(reef-session import plain.jsonl --persona alice --json | field '(o["added"], o["unchanged"])')" = '(1, 4)' ]
}

@test "other programs' exports, from files and from a pipe, told apart by what they hold" {
  cat >conversations.json <<'END'
[{"title": "Sails", "create_time": 1700000000.5, "current_node": "c", "id": "cg", "mapping": {
  "r": {"id": "r", "message": null, "parent": null, "children": ["a"]},
  "a": {"id": "a", "message": {"id": "ma", "author": {"role": "user"}, "create_time": 1700000001, "content": {"content_type": "text", "parts": ["Which canvas?"]}}, "parent": "r", "children": ["b", "c"]},
  "b": {"id": "b", "message": {"id": "mb", "author": {"role": "assistant"}, "create_time": 1700000002, "content": {"content_type": "text", "parts": ["Number four."]}}, "parent": "a", "children": []},
  "c": {"id": "c", "message": {"id": "mc", "author": {"role": "assistant"}, "create_time": 1700000003, "content": {"content_type": "text", "parts": ["Number six."]}}, "parent": "a", "children": []}}}]
END
  printf '{"user_name":"You","character_name":"Sera"}\n{"name":"Sera","is_user":false,"send_date":"June 19, 2023 2:20pm","mes":"*waves*"}\n' >'Sera - one.jsonl'
  printf '{"id":"oa","messages":[{"role":"user","content":"hello"},{"role":"assistant","content":[{"type":"text","text":"hi"},{"type":"image_url"}]}]}\n' >chat.jsonl
  [ "$(reef-session import conversations.json 'Sera - one.jsonl' --persona alice --json | field '(o["added"], o["sessions_added"])')" = '(4, 3)' ]
  [ "$(reef-session import - --persona alice --json < <(cat chat.jsonl) | field 'o["added"]')" = 2 ]
  [ "$(reef-session list | tail -n +2 | cut -c 1-12 | xargs -d '\n')" = 'Sera - one   cg           cg-branch-1  oa          ' ]
  [ "$(reef-session show cg --json | tail -1 | field '(o["content"], o["metadata"]["parent"])')" = "('Number six.', 'ma')" ]
  [[ "$(reef-session show oa)" == *$'hi\n[image]'* ]]
  [ "$(reef-session import conversations.json 'Sera - one.jsonl' chat.jsonl --persona alice --json | field '(o["changed"], o["unchanged"])')" = '(False, 6)' ]
  head -c 600 conversations.json >cut.json
  run reef-session import cut.json --persona bob
  [ "$status" -eq 3 ]
  [[ "$output" == *"cut.json:1: cut off"* ]]
  run reef-session import chat.jsonl --persona alice --format jsonl
  [ "$status" -eq 3 ]
  [[ "$output" == *"--format auto"* ]]
}

@test "append adds one message and prints its id" {
  run reef-session append s7 --role user hello
  [ "$status" -eq 5 ]
  [[ "$output" == *"--persona ID makes it"* ]]
  id=$(reef-session append s7 --role user --persona alice hello)
  [ "$(reef-session show s7 --json | field '(o["external_id"], o["content"])')" = "('$id', 'hello')" ]
  printf 'two\nlines\n' | reef-session append s7 --role assistant --speaker Bot --id x1 --time 2030-01-01
  run reef-session append s7 --role assistant --speaker Bot --id x1 --time 2030-01-01 $'two\nlines' --json
  [ "$(field '(o["external_id"], o["changed"], o["persona"])' <<<"$output")" = "('x1', False, 'alice')" ]
  run reef-session append s7 --persona bob --role user hello
  [ "$status" -eq 2 ]
  [[ "$output" == *"session 's7' is alice's"* ]]
  run reef-session append s7 --role '' hello
  [ "$status" -eq 2 ]
  run reef-session append s7 --role user --time soon hello
  [ "$status" -eq 2 ]
  # The same words twice are two messages.
  [ "$(reef-session append s7 --role user --time 2031-01-01 yes)" != "$(reef-session append s7 --role user --time 2031-01-01 yes)" ]
  reef-session verify
}

@test "what a pipe has brought does not wait for more, and faults are told as they come" {
  mkfifo pipe
  reef-session import pipe --persona alice 2>warnings &
  pid=$!
  exec 7>pipe
  printf 'nonsense\n{"session":"s","role":"user","content":"early","id":"m0"}\n' >&7
  wait_until bash -c 'reef-session show s 2>/dev/null | grep -q early'
  grep 'pipe:1: not JSON' warnings
  kill -TERM "$pid"
  status=0
  wait "$pid" || status=$?
  exec 7>&-
  [ "$status" -eq 143 ]
}

@test "files that are no text in UTF-8 are named once, with the way out, before anything is written" {
  iconv -f UTF-8 -t UTF-16 talk.jsonl >wide.jsonl
  iconv -f UTF-8 -t UTF-16LE talk.jsonl >bare.jsonl
  gzip -k talk.jsonl
  python3 -c 'import zipfile; zipfile.ZipFile("export.zip", "w").write("talk.jsonl")'
  for file in wide.jsonl:iconv bare.jsonl:iconv talk.jsonl.gz:gunzip export.zip:unzip; do
    run reef-session import talk.jsonl "${file%:*}" --persona alice
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -le 2 ]
    [[ "$output" == *"${file%:*} is "*"${file#*:}"* ]]
  done
  run reef-session import - --persona alice <talk.jsonl.gz
  [ "$status" -eq 2 ]
  [[ "$output" == *"stdin is compressed"* ]]
  [ -z "$(reef-session list --json)" ]
}

@test "appends at the same time are all there; one that export could not write back is refused" {
  for i in $(seq 20); do reef-session append r --persona alice --role user same --time 2020-01-02 >"id.$i" & done
  wait
  [ "$(cat id.* | sort -u | wc -l)" -eq 20 ]
  [ "$(reef-session show r --json | wc -l)" -eq 20 ]
  run reef-session append archived-x --persona alice --role user hello
  run reef-session append archived-x --persona bob --role user hello
  [ "$status" -eq 2 ]
  [[ "$output" == *"choose another session id"* ]]
  head -c 40000000 /dev/zero | tr '\0' '\n' >feeds
  run reef-session append r --role user - <feeds
  [ "$status" -eq 2 ]
  [[ "$output" == *"longer than 64 MiB"* ]]
}

@test "export and import into another tree: byte for byte the same" {
  printf '{"session":"\\u0001 odd/../id","role":"user","content":"a \\u0000 b \\ud83d\\ude00 \\" \\\\ \\u001b[31m","created_at":"2020-02-29T23:59:59.999+01:00","metadata":{"n":1e3,"big":123456789012345678901234567890}}\n' >>talk.jsonl
  reef-session import talk.jsonl --persona alice -q
  reef-session export -o one.jsonl
  run reef-session export -o one.jsonl
  [ "$status" -eq 2 ]
  [[ "$output" == *"--force"* ]]
  reef-session export -o one.jsonl --force -q
  reef-init --root other --persona alice -q
  reef-session import one.jsonl --root other --persona alice -q
  reef-session export -o - --root other | cmp - one.jsonl
  reef-session verify --root other
  [ "$(reef-session export s2 s1 -o - | wc -l)" -eq 3 ]
  run reef-session export s9 -o -
  [ "$status" -eq 5 ]
  run bash -c 'reef-session export -o - >/dev/full'
  [ "$status" -eq 1 ]
  run reef-session show $'\001 odd/../id'
  [[ "$output" != *$'\033'* && "$output" == *'\x1b[31m'* ]]
}

@test "archive: out of the database, listed, found by words, read from the archive, byte for byte" {
  reef-session import talk.jsonl --persona alice -q
  mkdir -p root/data/conversations/s1/deep
  echo picture >root/data/conversations/s1/deep/a.txt
  run reef-session archive s1
  [ "$status" -eq 2 ]
  [[ "$output" == *"storage.archive"* ]]
  archive_on
  reef-session export -o before.jsonl -q
  run reef-session archive --older-than 100000d -n
  [ "$output" = "0 sessions to archive (dry run)" ]
  [[ "$(reef-session archive s1 --dry-run)" == "s1: 2 messages, 1 file to $PWD/archive/conversations/alice/s1.jsonl"* ]]
  [ ! -e archive/conversations ]
  run reef-session archive s1
  [ "$output" = "1 session archived, 2 messages" ]
  run reef-session archive s1
  [ "$output" = "already so; 0 changes" ]
  run ! grep -aq 'Call the keeper' root/data/conversations/conversations.sqlite*
  grep -q 'Call the keeper' archive/conversations/alice/s1.jsonl
  [ "$(cat archive/conversations/alice/s1/deep/a.txt)" = picture ]
  [ ! -e root/data/conversations/s1 ]
  reef-session export -o - | cmp - before.jsonl
  head -2 before.jsonl | cmp - archive/conversations/alice/s1.jsonl
  [ "$(reef-session list --json | head -1 | field '(o["messages"], o["archived_messages"])')" = '(2, 2)' ]
  [ "$(sqlite_matches keeper)" = 1 ]
  [[ "$(reef-session show s1)" == *"Call the keeper"* ]]
  [ "$(reef-session import talk.jsonl --persona alice --json | field 'o["changed"]')" = False ]
  reef-session verify
  # What comes later stands behind it in the same file.
  reef-session append s1 --role user 'One more.' --id m9 --time 2026-01-03 -q
  reef-session archive s1 -q
  [ "$(wc -l <archive/conversations/alice/s1.jsonl)" -eq 3 ]
  [[ "$(reef-session show s1)" == *"Call the keeper"*"One more."* ]]
  reef-session verify
}

# sqlite_matches WORD: messages that the full text has for it.
sqlite_matches() {
  python3 -c 'import sqlite3, sys; print(sqlite3.connect("root/data/conversations/conversations.sqlite").execute("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH ?", (sys.argv[1],)).fetchone()[0])' "$1"
}

@test "an archive that is not mounted: said clearly, the rest goes on" {
  reef-session import talk.jsonl --persona alice -q
  archive_on
  reef-session archive s1 -q
  mv archive away
  run reef-session show s1
  [ "$status" -eq 5 ]
  [[ "$output" == *"archive/conversations/alice/s1.jsonl, where messages were archived, is not there"*"mount the drive"* ]]
  run --separate-stderr reef-session export -o -
  [ "$status" -eq 3 ]
  [[ "${lines[0]}" == *Oakum* && "$stderr" == *"session 's1'"*"not there"* ]]
  run reef-session verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"session 's1' is archived in it"* ]]
  run reef-session delete s1 --yes
  [ "$status" -eq 5 ]
  run reef-session import talk.jsonl --persona alice
  [ "$status" -eq 3 ]
  [[ "$output" == *"cannot be compared"* ]]
  run reef-session archive s2
  [ "$status" -eq 5 ]
  mkdir archive
  run reef-session archive s2
  [ "$status" -eq 5 ]
  [[ "$output" == *"mount its drive"* ]]
  rmdir archive
  mv away archive
  reef-session verify
}

@test "archive without arguments takes old sessions; foreign files in its way stay" {
  reef-session import talk.jsonl --persona alice -q
  reef-session append new --role user --persona alice 'fresh' -q
  archive_on
  printf 'session:\n  archive_after_days: 30\n' >>root/config/system.yaml
  mkdir -p archive/conversations/alice
  echo '{"session":"s2","role":"user","content":"of another tree","id":"z"}' >archive/conversations/alice/s2.jsonl
  export REEF_NOW=2026-12-01T00:00:00Z
  run reef-session archive
  [ "$status" -eq 3 ]
  [[ "$output" == *"session 's2': "*"s2.jsonl is there, and holds other messages"* ]]
  [[ "$output" == *"1 session archived, 2 messages"* ]]
  grep -q 'of another tree' archive/conversations/alice/s2.jsonl
  [ "$(reef-session list --json | field 'o["archived_messages"]' < <(reef-session list --json | tail -1))" = 0 ]
  run reef-session archive s1 --older-than 3d
  [ "$status" -eq 2 ]
}

@test "delete: a plan first, then nothing of it is left" {
  reef-session import talk.jsonl --persona alice -q
  mkdir -p root/data/conversations/s1
  echo note >root/data/conversations/s1/note.txt
  archive_on
  run --separate-stderr reef-session delete s1 s2
  [ "$status" -eq 2 ]
  [[ "$output" == "delete s1 of alice: 2 messages, 1 attached file"*"2 sessions to delete, 3 messages" ]]
  [[ "$stderr" == *"--yes"* ]]
  run reef-session delete s1 -n
  [ "$status" -eq 0 ]
  [ "$(reef-session list --json | wc -l)" -eq 2 ]
  reef-session archive s1 -q
  run reef-session delete s1 s8 --yes
  [ "$status" -eq 3 ]
  [[ "$output" == *"no session 's8'"* && "$output" == *"1 session deleted, 2 messages"* ]]
  [ -z "$(find archive -type f ! -name .lock)" ]
  [ "$(sqlite_matches keeper)" = 0 ]
  run ! grep -aqE 'keeper|lamp|Harbour' root/data/conversations/conversations.sqlite*
  reef-session verify
  run reef-session delete s1 --yes
  [ "$status" -eq 5 ]
}

@test "sessions whose files and folders could meet in the archive stay apart" {
  archive_on
  for session in x x.jsonl; do
    reef-session append "$session" --role user --persona alice "text of $session" -q
    mkdir -p "root/data/conversations/$session"
    echo "$session" >"root/data/conversations/$session/note"
  done
  reef-session archive x x.jsonl x -q
  reef-session delete x.jsonl --yes -q
  [[ "$(reef-session show x)" == *"text of x"* ]]
  [ "$(find archive -type f ! -name .lock -printf '%P\n' | sort | xargs)" = 'conversations/alice/x.jsonl conversations/alice/x/note' ]
  # As it was laid out before: what has the name of its folder is another session's file.
  reef-session append y --role user --persona alice 'text of y' -q
  reef-session archive y -q
  sqlite "UPDATE sessions SET archive_file = '$PWD/archive/conversations/alice/x.jsonl.jsonl' WHERE id = 'y'"
  mv archive/conversations/alice/y.jsonl archive/conversations/alice/x.jsonl.jsonl
  reef-session delete y --yes -q
  [[ "$(reef-session show x)" == *"text of x"* ]]
  reef-session verify
  # A file in the place of a folder stays.
  echo mine >root/data/conversations/z
  reef-session append z --role user --persona alice 'text of z' -q
  run reef-session delete z --yes
  [ "$status" -eq 2 ]
  [[ "$output" == *"no folder of attachments"* ]]
  [ -e root/data/conversations/z ]
}

# sqlite SQL: run it on the conversations, as another program would.
sqlite() {
  python3 - "$1" <<'END'
import sqlite3, sys
c = sqlite3.connect("root/data/conversations/conversations.sqlite", isolation_level=None)
for row in c.execute(sys.argv[1]): print(*row)
END
}

@test "attachments of a session without messages go to the archive and with the session" {
  reef-session import talk.jsonl --persona alice -q
  archive_on
  sqlite "INSERT INTO sessions(id, persona_id) VALUES ('e', 'alice')"
  mkdir -p root/data/conversations/e
  echo note >root/data/conversations/e/note
  reef-session archive e -q
  [ -e archive/conversations/alice/e/note ]
  mv archive away
  run reef-session delete e --yes
  [ "$status" -eq 5 ]
  [[ "$output" == *"mount the drive"* ]]
  mv away archive
  reef-session delete e --yes -q
  [ -z "$(find archive -type f ! -name .lock)" ]
}

@test "a damaged line of an archive: named, the rest goes on, and its session can be deleted" {
  reef-session import talk.jsonl --persona alice -q
  archive_on
  reef-session archive s1 -q
  sed -i '1s/"content"/"cOntent"/' archive/conversations/alice/s1.jsonl
  run --separate-stderr reef-session search lamp --persona alice --mode bm25 --json
  [ "$status" -eq 3 ]
  [[ "$stderr" == *"has no message at byte 0"* ]]
  [ "$(field '[(r["external_id"], r["content"]) for r in o["results"]]' <<<"$output")" = "[('m1', ''), ('m2', 'Call the keeper.')]" ]
  run --separate-stderr reef-session export -o -
  [ "$status" -eq 3 ]
  [[ "$stderr" == *"session 's1'"*"has no message at byte 0"* ]]
  [ "$(grep -c . <<<"$output")" -eq 2 ]
  run --separate-stderr reef-session show s1
  [ "$status" -eq 3 ]
  [[ "$output" == *"Call the keeper."* && "$stderr" == *"has no message at byte 0"* ]]
  run reef-session index --rebuild-words
  [ "$status" -eq 3 ]
  [[ "$output" == "full text of 3 messages made anew; 1 have no words"* ]]
  reef-session delete s1 --yes -q
  [ "$(sqlite_matches 'lamp OR keeper')" = 0 ]
  [ "$(sqlite_matches oakum)" = 1 ]
  reef-session verify
}

@test "a full text that is not that of the messages is made anew, archived texts with it" {
  reef-session import talk.jsonl --persona alice -q
  archive_on
  reef-session archive s1 -q
  sqlite "INSERT INTO messages_fts(messages_fts) VALUES ('delete-all')"
  run reef-session verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"reef-session index --rebuild-words"* ]]
  mv archive away
  run reef-session index --rebuild-words
  [ "$status" -eq 5 ]
  mv away archive
  [ "$(reef-session index --rebuild-words --json | field '(o["schema"], o["messages"], o["unread"])')" = "('reef.session.rebuild_words/1', 3, 0)" ]
  [ "$(sqlite_matches keeper)" = 1 ]
  reef-session verify
  run reef-session index --rebuild-words --all
  [ "$status" -eq 2 ]
}

@test "conversations of another program, by the documented schema, are taken as they are" {
  mkdir -p root/data/conversations
  sqlite "CREATE TABLE sessions (id TEXT PRIMARY KEY, persona_id TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, title TEXT, summary TEXT)"
  sqlite "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT REFERENCES sessions(id), role TEXT NOT NULL, content TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tokens INTEGER, metadata JSON)"
  sqlite "INSERT INTO sessions(id, persona_id) VALUES ('f', 'alice')"
  sqlite "INSERT INTO messages(session_id, role, content) VALUES ('f', 'user', 'An anchor.')"
  run reef-session list
  [ "$status" -eq 2 ]
  [[ "$output" == *"reef-session index --all"* ]]
  reef-session append f --role user 'A buoy.' -q
  [ "$(sqlite_matches anchor)" = 1 ]
  reef-session verify
}

@test "what fails or finds nothing makes no conversations; a plan needs no lock" {
  run reef-session append s --role user hello
  [ "$status" -eq 5 ]
  run reef-session search hello --persona alice --mode bm25
  [ "$status" -eq 5 ]
  [ ! -e root/data/conversations/conversations.sqlite ]
  reef-session import talk.jsonl --persona alice -q
  archive_on
  exec 9>root/data/conversations/.lock
  flock 9
  run reef-session archive s1 -n
  [ "$status" -eq 0 ]
}

@test "verify names what does not belong together" {
  reef-session import talk.jsonl --persona alice -q
  mkdir root/data/conversations/gone
  run reef-session verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"gone"*"belongs to no session"* ]]
  rmdir root/data/conversations/gone
  python3 - <<'END'
import sqlite3
c = sqlite3.connect("root/data/conversations/conversations.sqlite", isolation_level=None)
c.execute("DROP TRIGGER messages_update")
c.execute("UPDATE messages SET content = 'unseen' WHERE external_id = 'm1'")
END
  run reef-session verify --json
  [ "$status" -eq 4 ]
  [[ "$(field 'o["faults"][0]["fault"]' <<<"$output")" == *"full text"* ]]
}

@test "an archive file that was changed is a fault" {
  reef-session import talk.jsonl --persona alice -q
  archive_on
  reef-session archive s1 -q
  sed -i 's/keeper/porter/' archive/conversations/alice/s1.jsonl
  run reef-session verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"full text is not that of the messages"* ]]
  sed -i '1s/^/ /' archive/conversations/alice/s1.jsonl
  run reef-session verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"s1.jsonl"*"is not the beginning of message"* || "$output" == *"s1.jsonl"*"has no line"* ]]
}

@test "archive and delete exclude one another; who reads and adds does not wait" {
  reef-session import talk.jsonl --persona alice -q
  archive_on
  exec 9>root/data/conversations/.lock
  flock 9
  run reef-session archive s1
  [ "$status" -eq 6 ]
  run reef-session delete s1 --yes
  [ "$status" -eq 6 ]
  run reef-session verify
  [ "$status" -eq 6 ]
  reef-session append s1 --role user more -q
  reef-session show s1 >/dev/null
}

@test "no heavy library is linked" {
  run ldd "$REEF_BIN/reef-session"
  for library in faiss blas gomp curl crypto ssl xml2 archive; do
    [[ "$output" != *"lib$library"* ]]
  done
}

# shellcheck shell=bash
# A tree with a tiny random encoder, made once for a file of tests and copied for each of them.

# prepare_tree PERSONA...: from setup_file.
prepare_tree() {
  export LC_ALL=C
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  export REEF_ROOT="$BATS_FILE_TMPDIR/prepared"
  make_tiny_model "$BATS_FILE_TMPDIR/tiny" >/dev/null
  reef-init "${@/#/--persona=}" --embedding tiny -q
  reef-model import "$BATS_FILE_TMPDIR/tiny" --name tiny -q
}

# use_tree: from setup; the test's own copy is ./root.
use_tree() {
  export LC_ALL=C
  PATH="$REEF_BIN:$PATH"
  cd "$BATS_TEST_TMPDIR" || return
  cp -a "$BATS_FILE_TMPDIR/prepared" root
  export REEF_ROOT="$PWD/root"
}

# killed_after SECONDS COMMAND...: whether it was ended or was faster does not matter. In the foreground timeout waits until
# the command is gone and its locks with it; else it would kill itself, too, at the same moment.
killed_after() { timeout --foreground --signal=KILL "$@" || true; }

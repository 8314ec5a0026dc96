#include "reef/recover/persona.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "copied_store.h"
#include "reef/backup/ledger.h"
#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/memory/remember.h"
#include "reef/memory/schema.h"
#include "reef/persona/rows.h"
#include "reef/session/schema.h"
#include "reef/session/store.h"
#include "reef/tree/init.h"
#include "reef/tree/persona_change.h"

using namespace reef;
namespace fs = std::filesystem;

namespace {

struct Fixture : test::RecordedTree {
  std::shared_ptr<test::CopiedStore> store = std::make_shared<test::CopiedStore>(dir / "store");
  tree::Config config = tree::Config::load(tree);
  recover::PersonaOptions options{"alice", 2, {}};

  Fixture() {
    say("alice", "a1", 0, 10);
    say("bob", "b1", 0, 10);
    remember("Alice keeps the lighthouse.");
    ingest_own(40);
    store->take(*this, "s1", "2026-11-01T12:00:00Z");
  }
  void say(const std::string& persona, const std::string& session, int from, int count) {
    session::Store conversations(tree);
    std::vector<session::NewMessage> messages;
    for (int i = from; i < from + count; ++i) {
      session::NewMessage message;
      message.session = session;
      message.external_id = fmt::format("m{}", i);
      message.role = "user";
      message.content = fmt::format("{} says number{}", persona, i);
      message.created = fmt::format("2026-11-{:02} 08:00:00.000", 1 + i);
      messages.push_back(message);
    }
    session::PutCounts counts;
    CHECK(conversations.put(persona, messages, counts).empty());
    conversations.end_source(counts);
  }
  void remember(const std::string& text) {
    test::FakeEmbedder embedder;
    memory::RememberOptions remembered;
    remembered.text = text;
    memory::remember(tree, "alice", remembered, &embedder, no_progress());
  }
  void ingest_own(int documents) {
    std::string lines;
    for (int i = 0; i < documents; ++i)
      lines += fmt::format("{{\"id\":\"d{}\",\"text\":\"Own text {} here.\"}}\n", i, i);
    document::IngestOptions ingest;
    ingest.paths = {write(fmt::format("own{}.jsonl", documents), lines).string()};
    ingest.scope = tree::Scope::persona("alice");
    const auto make = [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); };
    document::ingest(tree, ingest, make, no_progress());
  }
  recover::Source source() { return {1, "store", store, store->list().back()}; }
  recover::RestoreReport restore() { return recover::restore_persona(tree, config, source(), options, no_progress()); }

  std::int64_t messages_of(const std::string& persona) {
    for (const auto& [table, count] :
         persona::count_rows(session::conversations_file(tree), persona::Shared::conversations, persona))
      if (table == "messages") return static_cast<std::int64_t>(count);
    return -1;
  }
  std::int64_t memories() {
    auto database = memory::read_memories(tree, "alice");
    auto query = database.prepare("SELECT count(*) FROM memories");
    query.step();
    return query.integer(0);
  }
  std::int64_t documents() {
    return document::Snapshot(tree.vectors(tree::Scope::persona("alice")), tree::Scope::persona("alice")).documents();
  }
  bool nothing_left() { return !fs::exists(tree.backups() / ".restore"); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "persona: comes back as it was, and others keep what they said since") {
  say("alice", "a1", 10, 5);
  say("alice", "a2", 0, 3);
  say("bob", "b1", 10, 7);
  remember("Alice sold the lighthouse.");
  ingest_own(60);
  const auto report = restore();
  CHECK(report.applied);
  CHECK(report.rows_went >= 8);
  CHECK(messages_of("alice") == 10);
  CHECK(messages_of("bob") == 17);
  CHECK(memories() == 1);
  CHECK(documents() == 40);
  CHECK(nothing_left());
  // Once more: it is so already.
  const auto again = restore();
  CHECK(again.rows_came + again.rows_went == 0);
  CHECK(messages_of("alice") == 10);
}

TEST_CASE_FIXTURE(Fixture, "persona: the plan tells the steps and what is newer, and changes nothing") {
  say("alice", "a1", 10, 5);
  backup::update_ledger(tree, 1, [](backup::Ledger& ledger) {
    ledger.drill = backup::Ledger::Drill{now(), "s1", std::chrono::seconds(10), 1000, true};
  });
  const auto plan = recover::plan_persona(tree, config, source(), options);
  CHECK(plan.dry_run);
  CHECK_FALSE(plan.applied);
  const auto messages =
      std::find_if(plan.losses.begin(), plan.losses.end(), [](const auto& loss) { return loss.what == "messages"; });
  REQUIRE(messages != plan.losses.end());
  CHECK(messages->count == 14);  // all but the first are dated after the snapshot
  REQUIRE(plan.expected);
  CHECK(plan.expected->count() == static_cast<std::int64_t>(plan.bytes) * 10);
  CHECK(std::any_of(plan.steps.begin(), plan.steps.end(),
                    [](const std::string& step) { return step == "put vectors/personas/alice into place"; }));
  CHECK(messages_of("alice") == 15);
}

TEST_CASE_FIXTURE(Fixture, "persona: all of its own is lost, and comes back") {
  fs::remove_all(tree.memories("alice"));
  fs::remove_all(tree.vectors(tree::Scope::persona("alice")));
  session::open_conversations(tree).execute("DELETE FROM messages WHERE session_id = 'a1'");
  restore();
  CHECK(messages_of("alice") == 10);
  CHECK(memories() == 1);
  CHECK(documents() == 40);
}

TEST_CASE_FIXTURE(Fixture, "persona: its service is stopped before and started after, and also when it fails") {
  std::ofstream(tree.config("system.yaml"))
      << "services:\n  alice:\n    stop: [sh, -c, 'echo stop >> \"$0\"', \"" << (dir / "log").string()
      << "\"]\n    start: [sh, -c, 'echo start >> \"$0\"', \"" << (dir / "log").string() << "\"]\n";
  config = tree::Config::load(tree);
  restore();
  CHECK(io::read_file(dir / "log") == "stop\nstart\n");
  store->damage("data/memories/alice/memories.sqlite");
  CHECK_THROWS_AS(restore(), const Error&);
  CHECK(io::read_file(dir / "log") == "stop\nstart\nstop\nstart\n");
  CHECK(nothing_left());
}

TEST_CASE_FIXTURE(Fixture, "persona: an unsound snapshot changes nothing") {
  say("alice", "a1", 10, 5);
  {
    io::Database database(dir / "store/s1/data/conversations/conversations.sqlite", io::OpenMode::write);
    database.execute("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'idx_messages_session'");
  }
  CHECK_THROWS_AS(restore(), const Error&);
  CHECK(messages_of("alice") == 15);
  CHECK(nothing_left());
}

TEST_CASE_FIXTURE(Fixture, "persona: one whose database a process has open is refused") {
  io::Database open(memory::memories_file(tree, "alice"), io::OpenMode::write);
  open.execute("SELECT count(*) FROM memories");
  try {
    restore();
    FAIL("it was replaced under a process");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::locked);
    CHECK(std::string(error.what()).find("memories.sqlite is open in another process") != std::string::npos);
  }
  CHECK(nothing_left());
}

TEST_CASE_FIXTURE(Fixture, "persona: one that is being renamed is refused") {
  tree::PersonaChange change;
  change.persona = "alice";
  change.to = "carol";
  change.began = "2026-11-30T10:00:00.000Z";
  tree::begin_change(tree, change);
  CHECK_THROWS_WITH_AS(restore(), "the rename of persona alice, begun 2026-11-30T10:00:00.000Z, is not ended", Error);
  tree::end_change(tree);
  CHECK(restore().applied);
}

TEST_CASE_FIXTURE(Fixture, "persona: a store on a shard comes back behind its link") {
  const fs::path link = tree.vectors(tree::Scope::persona("alice"));
  fs::create_directories(dir / "shard/personas");
  fs::rename(link, dir / "shard/personas/alice");
  fs::create_directory_symlink(dir / "shard/personas/alice", link);
  ingest_own(60);
  restore();
  CHECK(fs::is_symlink(link));
  CHECK(documents() == 40);
  CHECK_FALSE(fs::exists(dir / "shard/personas/.restore"));
  fs::remove_all(dir / "shard");
  CHECK_THROWS_AS(restore(), const Error&);
}

TEST_CASE_FIXTURE(Fixture, "persona: one that the snapshot does not know") {
  options.persona = "carol";
  CHECK_THROWS_AS(restore(), const Error&);
}

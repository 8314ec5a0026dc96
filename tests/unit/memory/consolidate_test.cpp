#include "reef/memory/consolidate.h"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <map>

#include "reef/core/error.h"
#include "reef/memory/internal/mentions.h"
#include "reef/memory/schema.h"
#include "reef/session/schema.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;
using memory::ConsolidateReport;

namespace {

constexpr std::size_t kDim = 32;

struct Talk : test::TreeFixture {
  io::Database conversations = session::open_conversations(tree);
  test::FakeEmbedder embedder;
  int decisions_left = -1;  ///< before the run ends
  unsigned threads = 1;
  std::size_t batch = memory::ConsolidateOptions().batch;

  std::int64_t say(const std::string& session, const std::string& role, const std::string& content,
                   const std::string& time, const std::string& persona = "alice") {
    auto add_session = conversations.prepare("INSERT OR IGNORE INTO sessions(id, persona_id) VALUES (?, ?)");
    add_session.bind(1, session).bind(2, persona).run();
    auto add = conversations.prepare(
        "INSERT INTO messages(session_id, role, content, created_at, external_id) VALUES (?, ?, ?, ?, ?)");
    add.bind(1, session).bind(2, role).bind(3, content).bind(4, to_database_time(parse_time(time)));
    add.bind(5, "m" + std::to_string(++said_)).run();
    return conversations.last_insert_rowid();
  }

  ConsolidateReport decide(const std::string& now, bool with_vectors = true, const std::string& persona = "alice") {
    memory::Store store(tree, persona);
    store.use_embedder(embedder, 1, no_progress());
    const memory::VectorSource vectors = [&](std::span<const memory::MessageText> texts, std::span<float> rows) {
      for (std::size_t i = 0; i < texts.size(); ++i)
        embedder.embed_query(texts[i].content, rows.subspan(i * kDim, kDim));
    };
    memory::ConsolidateOptions options;
    options.now = parse_time(now);
    options.threads = threads;
    options.batch = batch;
    options.on_decision = [&](const memory::Decided& decision) {
      if (decisions_left == 0) throw Error(Errc::failed, "the run ends here");
      if (decisions_left > 0) --decisions_left;
      told.push_back(decision);
    };
    return memory::consolidate(tree, store, kDim, with_vectors ? vectors : memory::VectorSource{}, options,
                               no_progress());
  }

  std::string cell(const std::string& sql, const std::string& persona = "alice") {
    io::Database database = memory::read_memories(tree, persona);
    auto select = database.prepare(sql);
    return select.step() ? std::string(select.text(0)) : "no row";
  }
  std::string state(std::int64_t message) {
    return cell("SELECT state FROM decisions WHERE message = " + std::to_string(message));
  }
  /// All that was decided, but for when.
  std::string decisions(const std::string& persona = "alice") {
    return cell(
        "SELECT group_concat(rank || ' ' || message || ' ' || state || ' ' || score || ' ' || logit || ' ' || shift || "
        "' ' "
        "|| nearest || ' ' || reference || ' ' || answer || ' ' || mentions || ' ' || coalesce(second_score, '') || ' "
        "' || "
        "coalesce(memory, ''), char(10)) FROM decisions",
        persona);
  }
  /// Those of a persona whose messages are the next `by` ones.
  static std::string shifted(const std::string& decisions, std::int64_t by) {
    std::string result;
    std::istringstream lines(decisions);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::int64_t rank = 0, message = 0;
      std::string rest;
      words >> rank >> message;
      std::getline(words, rest);
      result += (result.empty() ? "" : "\n") + std::to_string(rank) + " " + std::to_string(message + by) + rest;
    }
    return result;
  }
  std::string learned(const std::string& persona = "alice") {
    return cell(
        "SELECT (SELECT group_concat(hash || ' ' || messages) FROM (SELECT * FROM term_counts ORDER BY hash)) || "
        "(SELECT group_concat(hash) FROM known_entities) || (SELECT group_concat(content) FROM memories)",
        persona);
  }

  /// Some days of talk between two, thirty turns each.
  void talk(const std::string& persona = "alice", int days = 4) {
    const char* things[] = {"lighthouse", "harbour", "garden", "violin", "bicycle", "museum", "bakery", "telescope"};
    for (int day = 0; day < days; ++day)
      for (int i = 0; i < 30; ++i) {
        const std::string thing = things[(day * 7 + i * i) % 8], other = things[(day + i) % 8];
        const char* forms[] = {"Did you see the ", "I bought a ", "Thanks for the ", "My sister Anna has lived by the ",
                               "ok, the "};
        const std::string text = forms[(i + day) % 5] + thing + (i % 3 == 0 ? " in Lisbon last week" : " of " + other) +
                                 (i % 5 == 0 && (i + day) % 5 == 0 ? "?" : "");
        const std::string time = "2024-03-0" + std::to_string(day + 1) + "T10:" + std::to_string(10 + i) + ":00Z";
        say(persona + std::to_string(day), i % 2 == 0 ? "user" : "assistant", text, time, persona);
      }
  }

  std::vector<memory::Decided> told;

 private:
  int said_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Talk, "messages are remembered at once, a day later or never") {
  const auto asked = say("s", "user", "Please remember that my flight leaves at seven", "2024-03-01T10:00:00Z");
  const auto small = say("s", "assistant", "ok", "2024-03-01T10:01:00Z");
  const auto middle = say("s", "user", "I saw the lighthouse near the harbour yesterday", "2024-03-01T10:02:00Z");
  const auto again = say("s", "user", "My lighthouse above the harbour is older, of 1802", "2024-03-01T11:00:00Z");
  const auto empty = say("s", "user", " \n", "2024-03-01T11:01:00Z");
  const auto system =
      say("s", "system", "I am an old lighthouse keeper named Tom, born in 1950", "2024-03-01T11:02:00Z");
  const auto later = say("s", "user", "I live in Lisbon", "2024-03-09T10:00:00Z");

  ConsolidateReport report = decide("2024-03-01T12:00:00Z");
  CHECK(report.scored == 4);
  CHECK(report.unscored == 2);
  CHECK(report.remembered == 1);
  CHECK(report.discarded == 1);
  CHECK(report.buffered == 2);
  CHECK(report.waiting == 2);
  CHECK(state(asked) == "remembered");
  CHECK(state(small) == "discarded");
  CHECK(state(middle) == "buffered");
  CHECK(state(again) == "buffered");
  CHECK(state(empty) == "discarded");
  CHECK(state(system) == "discarded");
  CHECK(state(later) == "no row");
  CHECK(report.quantiles);
  CHECK(told.size() == 6);
  CHECK(cell("SELECT content || ' ' || speaker || ' ' || source_message FROM memories") ==
        "Please remember that my flight leaves at seven user " + std::to_string(asked));
  CHECK(cell("SELECT mentions FROM decisions WHERE message = " + std::to_string(middle)) == "1");

  CHECK(!decide("2024-03-02T10:01:59Z").changed());
  told.clear();
  report = decide("2024-03-02T11:00:00Z");
  CHECK(report.scored == 0);
  CHECK(report.remembered + report.dropped == 2);
  CHECK(report.waiting == 0);
  REQUIRE(told.size() == 2);
  CHECK(told[0].message == middle);
  CHECK(*told[0].second_score == doctest::Approx(told[0].scored.score + .075));
  CHECK(told[0].state == (*told[0].second_score >= .5 ? "remembered" : "dropped"));
  CHECK(state(middle) == told[0].state);
  CHECK(decide("2024-03-09T10:00:00Z").scored == 1);
  CHECK(!decide("2024-03-09T10:00:00Z").changed());
}

TEST_CASE_FIXTURE(Talk, "one run and many decide alike") {
  tree::InitOptions more;
  more.personas = {"bob"};
  tree::apply_init(tree, more);
  talk("alice");
  const auto whole = decide("2024-03-09T00:00:00Z");
  CHECK(whole.scored == 120);
  CHECK(whole.remembered > 0);
  CHECK(whole.buffered > 0);
  CHECK(whole.dropped > 0);
  CHECK(whole.waiting == 0);

  talk("bob");
  threads = 3;
  batch = 7;
  for (const char* now :
       {"2024-03-01T10:11:00Z", "2024-03-01T10:20:00Z", "2024-03-02T10:25:30Z", "2024-03-03T00:00:00Z",
        "2024-03-04T10:30:00Z", "2024-03-05T10:30:00Z", "2024-03-09T00:00:00Z"})
    decide(now, true, "bob");
  CHECK(decisions("bob") == shifted(decisions(), 120));
  CHECK(learned() == learned("bob"));
}

TEST_CASE_FIXTURE(Talk, "a run that ends anywhere goes on where it was") {
  tree::InitOptions more;
  more.personas = {"bob"};
  tree::apply_init(tree, more);
  talk("alice");
  decide("2024-03-09T00:00:00Z");
  talk("bob");
  batch = 8;
  threads = 3;
  int ended = 0;
  for (int round = 0; round < 200; ++round) {
    // Behind a commit, or in the midst of a transaction: the database refuses a decision.
    decisions_left = round % 2 == 0 ? 3 + round % 3 : -1;
    if (decisions_left < 0)
      memory::open_memories(tree, "bob")
          .execute("CREATE TRIGGER refuse BEFORE " + std::string(round % 4 == 1 ? "INSERT" : "UPDATE OF state") +
                   " ON decisions WHEN new.message % 7 = " + std::to_string(round % 7) +
                   " BEGIN SELECT RAISE(ABORT, 'the run ends here'); END");
    bool whole = false;
    try {
      decide("2024-03-09T00:00:00Z", true, "bob");
      whole = true;
    } catch (const Error&) {
      ++ended;
    }
    memory::open_memories(tree, "bob").execute("DROP TRIGGER IF EXISTS refuse");
    if (whole) break;
  }
  CHECK(ended > 5);
  CHECK(cell("SELECT count(*) FROM decisions WHERE state = 'buffered'", "bob") == "0");
  CHECK(decisions("bob") == shifted(decisions(), 120));
  CHECK(learned("bob") == learned());
}

TEST_CASE_FIXTURE(Talk, "only what is new is read, in whatever order it came") {
  talk("alice", 2);
  decide("2024-03-02T10:20:00Z");  // some of the second day are left, and keep the watermark back
  const std::string mark = cell("SELECT value FROM progress WHERE key = 'decided_up_to'");
  CHECK(std::stoi(mark) == 41);
  const auto late = say("alice0", "user", "Did I say that I moved to Porto?", "2024-03-01T10:05:30Z");
  const auto next = say("alice0", "user", "Not that I know", "2024-03-01T10:25:30Z");  // behind "Did you …?"
  CHECK(decide("2024-03-09T00:00:00Z").scored == 21);
  CHECK(state(late) != "no row");
  CHECK(cell("SELECT answer FROM decisions WHERE message = " + std::to_string(next)) == "1");
  CHECK(cell("SELECT value FROM progress WHERE key = 'decided_up_to'") == "62");
  // Another persona's messages are none of ours, and are passed.
  say("other", "user", "I live in Rome", "2024-03-01T10:05:30Z", "bob");
  CHECK(!decide("2024-03-09T00:00:00Z").changed());
  CHECK(cell("SELECT value FROM progress WHERE key = 'decided_up_to'") == "63");
  memory::open_memories(tree, "alice").execute("UPDATE progress SET value = 'x' WHERE key = 'decided_up_to'");
  CHECK_THROWS_WITH_AS(decide("2024-03-09T00:00:00Z"), doctest::Contains("decided_up_to"), Error);
}

TEST_CASE_FIXTURE(Talk, "what was forgotten is not learned again") {
  const auto secret = say("s", "user", "Please remember that my code is xylophone", "2024-03-01T10:00:00Z");
  memory::open_memories(tree, "alice")
      .execute("INSERT INTO tombstones(message, forgotten_at) VALUES (" + std::to_string(secret) + ", '2024-03-01')");
  const auto report = decide("2024-03-09T00:00:00Z");
  CHECK(report.forgotten == 1);
  CHECK(report.remembered == 0);
  CHECK(state(secret) == "forgotten");
  CHECK(cell("SELECT count(*) FROM term_counts") == "0");
}

TEST_CASE_FIXTURE(Talk, "what left its conversation while it waited is dropped, what cannot be read waits") {
  const auto gone = say("s", "user", "I saw the lighthouse near the harbour yesterday", "2024-03-01T10:00:00Z");
  const auto away = say("t", "user", "I saw the museum near the bakery yesterday", "2024-03-01T10:01:00Z");
  memory::ConsolidateReport report = decide("2024-03-01T12:00:00Z");
  REQUIRE(report.buffered == 2);
  memory::open_memories(tree, "alice").execute("UPDATE decisions SET mentions = 2, score = .6");
  conversations.execute("DELETE FROM messages WHERE id = " + std::to_string(gone));
  conversations.execute("UPDATE sessions SET archive_file = '/nowhere/t.jsonl' WHERE id = 't'");
  conversations.execute("UPDATE messages SET archive_offset = 0, content = '' WHERE id = " + std::to_string(away));
  const auto behind = say("t", "user", "And the bridge", "2024-03-01T10:02:00Z");
  report = decide("2024-03-03T00:00:00Z");
  CHECK(report.dropped == 1);
  CHECK(report.waiting == 1);
  CHECK(report.unreadable == 2);  // each once, and what stands behind one that may have asked
  CHECK(report.first_unreadable.find("/nowhere") != std::string::npos);
  CHECK(state(gone) == "dropped");
  CHECK(state(away) == "buffered");
  CHECK(state(behind) == "no row");
  CHECK(told.back().message == gone);
  CHECK(told.back().session == "s");
  CHECK(told.back().created == "2024-03-01 10:00:00.000");

  const auto damaged = tree.root() / "t.jsonl";  // no archive's line
  std::ofstream(damaged) << "{\"external_id\":\n";
  conversations.execute("UPDATE sessions SET archive_file = '" + damaged.string() + "' WHERE id = 't'");
  report = decide("2024-03-03T00:00:00Z");
  CHECK(report.unreadable == 2);
  CHECK(report.first_unreadable.find("t.jsonl") != std::string::npos);
  CHECK(state(away) == "buffered");
}

TEST_CASE_FIXTURE(Talk, "what is dropped a day later is told with its text") {
  say("s", "user", "I saw the lighthouse near the harbour yesterday", "2024-03-01T10:00:00Z");
  REQUIRE(decide("2024-03-01T12:00:00Z").buffered == 1);
  memory::open_memories(tree, "alice").execute("UPDATE decisions SET score = .3");
  told.clear();
  CHECK(decide("2024-03-03T00:00:00Z").dropped == 1);
  REQUIRE(told.size() == 1);
  CHECK(told[0].content == "I saw the lighthouse near the harbour yesterday");
  CHECK(told[0].speaker == "user");
  CHECK(told[0].external_id == "m1");
  CHECK(told[0].session == "s");
  CHECK(told[0].created == "2024-03-01 10:00:00.000");
}

TEST_CASE_FIXTURE(Talk, "what shows no character is not scored") {
  for (int i = 0; i < 30; ++i)
    say("s", i % 2 == 0 ? "user" : "assistant", "ok", "2024-03-01T10:" + std::to_string(10 + i) + ":00Z");
  const auto question = say("s", "user", "Really?", "2024-03-01T10:50:00Z");
  const auto mark = say("s", "assistant", "\u200e", "2024-03-01T10:51:00Z");
  const auto blank = say("s", "assistant", "\u00a0", "2024-03-01T10:52:00Z");
  const auto answer = say("s", "assistant", "Of course", "2024-03-01T10:53:00Z");
  CHECK(decide("2024-03-01T12:00:00Z").unscored == 2);
  decide("2024-03-09T00:00:00Z");
  CHECK(state(question) != "no row");
  CHECK(state(mark) == "discarded");
  CHECK(state(blank) == "discarded");
  CHECK(cell("SELECT answer FROM decisions WHERE message = " + std::to_string(answer)) == "1");
}

TEST_CASE_FIXTURE(Talk, "times of any form are times, what is none is long ago, and later ones are counted") {
  const auto add = [&](const char* content, const char* time) {
    const auto id = say("s", "user", content, "2024-03-01T10:00:00Z");
    auto update = conversations.prepare("UPDATE messages SET created_at = ? WHERE id = ?");
    update.bind(1, time).bind(2, id).run();
    return id;
  };
  const auto rfc = add("I saw the lighthouse", "2024-03-01T10:30:00Z");
  const auto none = add("I saw the harbour", "yesterday");
  const auto far = add("I saw the museum", "2999-01-01 00:00:00.000");
  const auto plain = add("I saw the bakery", "2024-03-01 10:40:00.000");
  const auto report = decide("2024-03-01T12:00:00Z");
  CHECK(report.scored == 3);
  CHECK(report.later == 1);
  CHECK(memory::to_text(report).find("1 of later times") != std::string::npos);
  CHECK(state(far) == "no row");
  CHECK(cell("SELECT group_concat(message) FROM (SELECT message FROM decisions ORDER BY rank)") ==
        std::to_string(none) + "," + std::to_string(rfc) + "," + std::to_string(plain));
}

TEST_CASE_FIXTURE(Talk, "another model embeds what a message said with what stood before it") {
  say("s", "assistant", "Which colour has the gate?", "2024-03-01T10:00:00Z");
  const auto said = say("s", "user", "Please remember that it is green", "2024-03-01T10:01:00Z");
  decide("2024-03-01T12:00:00Z");
  {
    memory::Store store(tree, "alice");
    memory::NewMemory asked;
    asked.content = "The cellar key hangs behind the clock";
    io::Transaction transaction(store.database());
    store.remember(asked);
    transaction.commit();
  }
  test::FakeEmbedder other("other");
  const auto row_of = [&](const std::string& text) {
    std::vector<float> row(kDim);
    other.embed_query(text, row);
    return row;
  };
  const auto stored = [&](const std::string& where) {
    io::Database database = memory::read_memories(tree, "alice");
    auto select = database.prepare("SELECT embedding FROM memories WHERE " + where);
    REQUIRE(select.step());
    const auto bytes = select.blob(0);
    std::vector<float> row(bytes.size() / sizeof(float));
    std::memcpy(row.data(), bytes.data(), bytes.size());
    return row;
  };
  CHECK(memory::Store(tree, "alice").use_embedder(other, 1, no_progress()) == 2);
  CHECK(stored("source_message = " + std::to_string(said)) ==
        row_of("Which colour has the gate?\nPlease remember that it is green"));
  CHECK(stored("source_message IS NULL") == row_of("The cellar key hangs behind the clock"));
  // Of a message that says something else by now the memory's own text is all there is.
  conversations.execute("UPDATE messages SET content = 'Never mind' WHERE id = " + std::to_string(said));
  other = test::FakeEmbedder("third");
  memory::Store(tree, "alice").use_embedder(other, 1, no_progress());
  CHECK(stored("source_message = " + std::to_string(said)) == row_of("Please remember that it is green"));
}

TEST_CASE_FIXTURE(Talk, "without vectors everything is as unlike the memories as can be") {
  talk("alice", 1);
  const auto report = decide("2024-03-09T00:00:00Z", false);
  CHECK(report.scored == 30);
  CHECK(cell("SELECT max(nearest) FROM decisions") == "0.0");
  CHECK(cell("SELECT count(*) FROM memories WHERE embedding IS NOT NULL") == "0");
}

TEST_CASE_FIXTURE(Talk, "one run of a persona at a time") {
  say("s", "user", "I live in Lisbon", "2024-03-01T10:00:00Z");
  memory::Store store(tree, "alice");
  CHECK_THROWS_AS(decide("2024-03-09T00:00:00Z"), Error);
}

TEST_CASE("a mention shares two rare words within a day, and two are enough") {
  memory::internal::Mentions mentions;
  const Time start = parse_time("2024-03-01");
  const std::vector<std::uint64_t> words{1, 2, 3, 4};
  using Words = std::vector<std::uint64_t>;
  using Ranks = std::vector<std::int64_t>;
  mentions.add(7, start, 0, words);
  CHECK(mentions.mentioned_by(start, Words{1, 9}).empty());
  CHECK(mentions.mentioned_by(start - std::chrono::hours(1), Words{1, 2}).empty());
  CHECK(mentions.mentioned_by(start + std::chrono::hours(24), Words{1, 2}).empty());
  CHECK(mentions.mentioned_by(start + std::chrono::hours(23), Words{1, 4}) == Ranks{7});
  mentions.add(8, start, 1, words);
  CHECK(mentions.mentioned_by(start, Words{2, 3, 4}) == Ranks{7, 8});
  CHECK(mentions.mentioned_by(start, Words{2, 3, 4}).empty());
  mentions.add(9, start, 0, words);
  mentions.remove(9);
  CHECK(mentions.mentioned_by(start, Words{1, 2}).empty());
  mentions.add(10, start, 2, words);
  CHECK(mentions.mentioned_by(start, Words{1, 2}).empty());
}

TEST_CASE("decisions and reports as text and JSON") {
  memory::Decided decision;
  decision.message = 3;
  decision.state = "buffered";
  decision.content = "a\x1b[2Jb";
  decision.created = "2024-03-01 10:00:00.000";
  decision.scored.score = .5;
  decision.scored.terms.novelty = .25;
  CHECK(memory::to_text(decision).find("0.50 buffered") == 0);
  CHECK(memory::to_text(decision).find("novelty 0.25") != std::string::npos);
  CHECK(memory::to_text(decision).find('\x1b') == std::string::npos);
  CHECK(memory::to_json(decision).find("\"novelty\":0.25") != std::string::npos);
  decision.second_score = .575;
  decision.mentions = 1;
  CHECK(memory::to_text(decision).find("mentioned once") != std::string::npos);
  CHECK(memory::to_json(decision).find("\"terms\":null") != std::string::npos);
  CHECK(memory::to_json(decision).find("\"created\":\"2024-03-01T10:00:00.000Z\"") != std::string::npos);

  ConsolidateReport report;
  report.persona = "alice";
  CHECK(memory::to_text(report) == "alice: already so; nothing to decide\n");
  report.scored = report.remembered = 2;
  report.waiting = 1;
  CHECK(memory::to_text(report) == "alice: 2 remembered; 1 wait for their day to end\n");
  CHECK(memory::to_json(report).find("\"quantiles\":null") != std::string::npos);
}

TEST_CASE_FIXTURE(Talk, "messages are told apart where their numbers start again") {
  for (int i = 0; i < 12; ++i)
    say("s", "user", "Please remember that boat " + std::to_string(i) + " leaks",
        "2026-01-01T10:00:0" + std::to_string(i % 10) + "Z");
  CHECK(decide("2026-02-01").scored == 12);
  const std::string copy = (tree.root() / "copy.sqlite").string();
  SUBCASE("an older copy was restored, and went on") {
    conversations.execute("VACUUM INTO '" + copy + "'");
    say("s", "user", "Please remember that this gets lost", "2026-01-02T10:00:00Z");
    CHECK(decide("2026-02-01").scored == 1);
  }
  SUBCASE("it was made anew in another order") {
    conversations.execute("UPDATE messages SET id = 100 - id");
    conversations.execute("UPDATE sqlite_sequence SET seq = 99 WHERE name = 'messages'");
    conversations.execute("VACUUM INTO '" + copy + "'");
  }
  conversations = {};
  for (const char* end : {"", "-wal", "-shm"})
    std::filesystem::remove(session::conversations_file(tree).string() + end);
  std::filesystem::rename(copy, session::conversations_file(tree));
  conversations = session::open_conversations(tree);
  const auto stranger = say("s", "user", "Please remember that the mill burns", "2026-01-03T10:00:00Z");
  const auto report = decide("2026-02-01");
  CHECK(report.scored == 1);
  CHECK(state(stranger) == "remembered");
  CHECK(cell("SELECT count(*) FROM decisions WHERE message > 0") == "13");
  CHECK(decide("2026-02-01").scored == 0);
  // Sources follow.
  auto number = conversations.prepare("SELECT id FROM messages WHERE content LIKE '%boat 3 %'");
  REQUIRE(number.step());
  CHECK(cell("SELECT source_message FROM memories WHERE content LIKE '%boat 3 %'") == std::string(number.text(0)));
  CHECK(cell("SELECT message FROM memory_sources WHERE memory = (SELECT id FROM memories WHERE content LIKE '%boat 3 "
             "%')") == std::string(number.text(0)));
}

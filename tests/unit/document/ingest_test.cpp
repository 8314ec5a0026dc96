#include "reef/document/ingest.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/document/store.h"
#include "reef/document/verify.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;
using test::FakeEmbedder;

namespace {

struct Fixture : test::TreeFixture {
  std::size_t embedded = 0;
  std::function<void()> before_batch;

  document::IngestOptions options(std::vector<std::string> paths) {
    document::IngestOptions options;
    options.paths = std::move(paths);
    return options;
  }
  document::IngestReport ingest(const document::IngestOptions& options) {
    FakeEmbedder* made = nullptr;
    const auto make = [&](const std::string&) {
      auto embedder = std::make_unique<FakeEmbedder>("fake", before_batch);
      made = embedder.get();
      return embedder;
    };
    const auto report = document::ingest(tree, options, make, no_progress());
    embedded = report.embedded;
    return report;
  }
  document::IngestReport ingest(std::vector<std::string> paths) { return ingest(options(std::move(paths))); }
  std::string in() { return (dir / "in").string(); }

  document::VerifyReport verify() {
    return document::verify(tree, document::scopes_of(tree, {"alice"}), std::chrono::milliseconds(0), no_progress());
  }
  void require_sound() {
    for (const auto& fault : verify().faults) FAIL(fault.scope << " " << fault.file << ": " << fault.what);
  }
  std::int64_t documents() {
    return document::Snapshot(tree.vectors(tree::Scope::shared()), tree::Scope::shared()).documents();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a file comes in once, and again when it changed") {
  const auto note = write("note.md", "# Lease\n\nThe lease ends in March.\n");
  auto report = ingest({note.string()});
  CHECK(report.added == 1);
  CHECK(report.faults.empty());
  CHECK(report.embedded == report.chunks);
  require_sound();

  report = ingest({note.string()});
  CHECK(report.unchanged == 1);
  CHECK(!report.changed());

  write("note.md", "# Lease\n\nThe lease ends in April.\n");
  report = ingest({note.string()});
  CHECK(report.replaced == 1);
  CHECK(report.added == 0);
  CHECK(documents() == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "the original and its text are kept by content and go with the last source") {
  const auto a = write("a.txt", "The same text in two files."), b = write("b.txt", "The same text in two files.");
  ingest({in()});
  const auto count = [](const std::filesystem::path& folder) {
    return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
  };
  CHECK(count(tree.raw()) == 1);
  CHECK(count(tree.processed()) == 1);
  document::RemoveOptions options;
  options.documents = {a.string()};
  document::remove(tree, options);
  CHECK(count(tree.raw()) == 1);
  options.documents = {b.string()};
  document::remove(tree, options);
  CHECK(count(tree.raw()) == 0);
  CHECK(count(tree.processed()) == 0);
  CHECK(documents() == 0);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a changed JSONL file embeds only the lines that changed") {
  std::string lines;
  for (int i = 0; i < 20; ++i)
    lines += fmt::format("{{\"id\":\"d{0}\",\"title\":\"Title {0}\",\"text\":\"Body number {0}.\"}}\n", i);
  const auto path = write("set.jsonl", lines);
  CHECK(ingest({path.string()}).added == 20);

  std::string changed = lines;
  changed.replace(changed.find("Body number 7"), 4, "Corp");
  const auto last = changed.rfind("{\"id\":\"d19\"");
  write("set.jsonl", changed.substr(0, last));
  const auto report = ingest({path.string()});
  CHECK(report.replaced == 1);
  CHECK(report.removed == 1);
  CHECK(report.added == 0);
  CHECK(report.embedded == 1);
  CHECK(documents() == 19);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a cut line is named and loses nothing that was there") {
  const auto path =
      write("set.jsonl", "{\"id\":\"a\",\"text\":\"First one.\"}\n{\"id\":\"b\",\"text\":\"Second one.\"}\n");
  ingest({path.string()});
  write("set.jsonl", "{\"id\":\"a\",\"text\":\"First one.\"}\n{\"id\":\"b\",\"te\n");
  const auto report = ingest({path.string()});
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].line == 2);
  CHECK(report.removed == 0);
  CHECK(documents() == 2);
  // Asked again without a change, the fault is still told.
  CHECK(ingest({path.string()}).faults.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "an id belongs to one file while that file is there") {
  const auto first = write("first.jsonl", "{\"id\":\"x\",\"text\":\"From the first file.\"}\n");
  const auto second = write("second.jsonl", "{\"id\":\"x\",\"text\":\"From the second file.\"}\n");
  ingest({first.string()});
  auto report = ingest({second.string()});
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].reason.find("already comes from") != std::string::npos);
  std::filesystem::remove(first);
  std::filesystem::last_write_time(second, std::filesystem::file_time_type::clock::now());
  write("second.jsonl", "{\"id\":\"x\",\"text\":\"From the second file!\"}\n");
  report = ingest({second.string()});
  CHECK(report.faults.empty());
  CHECK(documents() == 1);
}

TEST_CASE_FIXTURE(Fixture, "prune removes what vanished below the folders named, nothing else") {
  write("keep/a.txt", "Keep me here.");
  const auto gone = write("keep/b.txt", "I shall vanish.");
  const auto elsewhere = write("other/c.txt", "I live elsewhere.");
  ingest({in()});
  std::filesystem::remove(gone);
  std::filesystem::remove(elsewhere);
  auto with_prune = options({(dir / "in/keep").string()});
  with_prune.prune = true;
  CHECK(ingest(with_prune).removed == 1);
  CHECK(documents() == 2);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "what an interrupted run committed is not embedded again") {
  std::string lines;
  for (int i = 0; i < 1500; ++i) lines += fmt::format("{{\"id\":\"d{0}\",\"text\":\"Body of text number {0}.\"}}\n", i);
  const auto path = write("big.jsonl", lines);
  int batches = 0;
  before_batch = [&] {
    if (++batches == 3) throw Error(Errc::interrupted, "interrupted");
  };
  CHECK_THROWS_AS(ingest({path.string()}), Error);
  CHECK(documents() > 0);
  for (const auto& fault : verify().faults) CHECK(fault.mends_itself);

  before_batch = {};
  const auto report = ingest({in()});
  CHECK(report.embedded < 1500);
  CHECK(documents() == 1500);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a pending source is finished by a run that does not name it") {
  const auto path = write("one.txt", "A text that a run begins and never ends.");
  before_batch = [] { throw Error(Errc::interrupted, "interrupted"); };
  CHECK_THROWS_AS(ingest({path.string()}), Error);
  before_batch = {};
  const auto other = write("two.txt", "Another text.");
  CHECK(ingest({other.string()}).added == 2);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "documents without vectors need no embedder") {
  const auto path = write("long.txt", "Words only, found by words.");
  auto text_only = options({path.string()});
  text_only.text_only = true;
  const auto report = document::ingest(
      tree, text_only,
      [](const std::string&) -> std::unique_ptr<embed::Embedder> { throw Error(Errc::not_found, "no model"); },
      no_progress());
  CHECK(report.added == 1);
  CHECK(report.embedded == 0);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "vectors of two models never meet in one store") {
  const auto path = write("a.txt", "Some text.");
  ingest({path.string()});
  const auto other = write("b.txt", "Other text.");
  const auto make = [](const std::string&) { return std::make_unique<FakeEmbedder>("another"); };
  try {
    document::ingest(tree, options({other.string()}), make, no_progress());
    FAIL("another model was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    CHECK(std::string(error.what()).find("another") != std::string::npos);
  }
  CHECK(documents() == 1);
}

TEST_CASE_FIXTURE(Fixture, "files that cannot be used are listed, the others come in") {
  write("good.txt", "Good text.");
  write("empty.txt", "");
  write("binary.txt", std::string("\0\1\2\3ELF\0\0\0\0", 12));
  write(std::string("bad\xff name.txt"), "Text.");
  const auto report = ingest({in()});
  CHECK(report.added == 1);
  CHECK(report.faults.size() == 3);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "two runs over one scope exclude each other") {
  write("a.txt", "Some text.");
  const document::Store held(tree.vectors(tree::Scope::shared()), tree::Scope::shared(), std::chrono::milliseconds(0));
  try {
    ingest({in()});
    FAIL("the lock was ignored");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::locked);
  }
}

TEST_CASE_FIXTURE(Fixture, "a dry run tells its plan and changes nothing") {
  const auto path = write("a.txt", "Some text.");
  auto dry = options({in()});
  dry.dry_run = true;
  const auto report = ingest(dry);
  REQUIRE(report.add.size() == 1);
  CHECK(report.add[0] == path.string());
  CHECK(!document::Snapshot::exists(tree.vectors(tree::Scope::shared())));
}

TEST_CASE_FIXTURE(Fixture, "verify finds what was damaged behind our back") {
  const auto path = write("a.txt", "Some text that will be damaged.");
  ingest({path.string()});
  const auto raw = *std::filesystem::directory_iterator(tree.raw());
  std::ofstream(raw.path(), std::ios::app) << "x";
  const auto report = verify();
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].file.starts_with("raw/"));
}

TEST_CASE_FIXTURE(Fixture, "two files of one run with the same id: the first is kept, and told") {
  write("a.jsonl", "{\"id\":\"x\",\"text\":\"First apple text.\"}\n");
  const auto second = write("b.jsonl", "{\"id\":\"x\",\"text\":\"Second banana text.\"}\n");
  auto report = ingest({in()});
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].path == second.string());
  CHECK(documents() == 1);
  require_sound();
  // When the first file goes, the second one's document takes its place.
  std::filesystem::remove(dir / "in/a.jsonl");
  auto with_prune = options({in()});
  with_prune.prune = true;
  report = ingest(with_prune);
  CHECK(report.faults.empty());
  CHECK(documents() == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a renamed file takes its documents along and leaves nothing behind") {
  write("a.jsonl", "{\"id\":\"y\",\"text\":\"A text that moves.\"}\n");
  ingest({in()});
  std::filesystem::rename(dir / "in/a.jsonl", dir / "in/c.jsonl");
  ingest({in()});
  CHECK(documents() == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "equal bytes under two extensions are two originals of one text") {
  const auto a = write("a.txt", "Equal bytes."), b = write("b.md", "Equal bytes.");
  ingest({in()});
  document::RemoveOptions options;
  options.documents = {a.string(), b.string()};
  document::remove(tree, options);
  CHECK(std::filesystem::is_empty(tree.raw()));
  CHECK(std::filesystem::is_empty(tree.processed()));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a file that waits for a model does not keep the others out") {
  const auto waiting = write("waiting.txt", "Begun with a model.");
  before_batch = [] { throw Error(Errc::interrupted, "interrupted"); };
  CHECK_THROWS_AS(ingest({waiting.string()}), Error);
  write("other.txt", "Needs no model.");
  auto text_only = options({(dir / "in/other.txt").string()});
  text_only.text_only = true;
  const auto no_model = [](const std::string&) -> std::unique_ptr<embed::Embedder> {
    throw Error(Errc::not_found, "no model");
  };
  auto report = document::ingest(tree, text_only, no_model, no_progress());
  CHECK(report.added == 1);
  CHECK(report.faults.size() == 1);
  before_batch = {};
  CHECK(ingest({waiting.string()}).added == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "content that a killed run began and that changed since leaves no original") {
  const auto path = write("w.txt", "Version one.");
  before_batch = [] { throw Error(Errc::interrupted, "interrupted"); };
  CHECK_THROWS_AS(ingest({path.string()}), Error);
  write("w.txt", "Version two.");
  CHECK_THROWS_AS(ingest({path.string()}), Error);
  before_batch = {};
  write("w.txt", "Version three.");
  ingest({path.string()});
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "prune removes the text of a file that became a folder") {
  const auto path = write("x", "Once a file.");
  ingest({in()});
  std::filesystem::remove(path);
  write("x/y.txt", "Now a folder.");
  auto with_prune = options({in()});
  with_prune.prune = true;
  CHECK(ingest(with_prune).removed == 1);
  CHECK(documents() == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a date that cannot be read costs the date, not the document") {
  const auto path = write("dates.jsonl",
                          "{\"id\":\"a\",\"text\":\"Some text.\",\"created\":\"2026-01-02\"}\n"
                          "{\"id\":\"b\",\"text\":\"Other text.\",\"created\":\"next Tuesday\"}\n");
  const auto report = ingest({path.string()});
  CHECK(report.added == 2);
  CHECK(report.faults.empty());
  CHECK(ingest({path.string()}).unchanged == 1);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a file that became unusable keeps its older text, and that is told") {
  const auto path = write("a.txt", "Some text.");
  ingest({path.string()});
  write("a.txt", "");
  const auto report = ingest({path.string()});
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].reason.find("stays findable") != std::string::npos);
  CHECK(documents() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a torn copy of an original is made again") {
  const auto a = write("a.txt", "The same text in two files.");
  ingest({a.string()});
  std::ofstream((*std::filesystem::directory_iterator(tree.raw())).path()) << "The same t\0\0\0 in two files.";
  const auto b = write("b.txt", "The same text in two files.");
  ingest({b.string()});
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a dry run tells what an earlier run left and what is too large") {
  const auto begun = write("begun.txt", "A text that a run begins and never ends.");
  before_batch = [] { throw Error(Errc::interrupted, "interrupted"); };
  CHECK_THROWS_AS(ingest({begun.string()}), Error);
  const auto large = write("large.txt", std::string(2000, 'x'));
  auto dry = options({large.string()});
  dry.dry_run = true;
  dry.extract.max_file_bytes = 1000;
  const auto report = ingest(dry);
  CHECK(report.add == std::vector<std::string>{begun.string()});
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].path == large.string());
}

TEST_CASE_FIXTURE(Fixture, "a document named twice is removed once, by a dry run too") {
  ingest({write("a.txt", "Some text.").string()});
  document::RemoveOptions options;
  options.documents = {(dir / "in/a.txt").string(), (dir / "in/a.txt").string(), "absent"};
  for (const bool dry_run : {true, false}) {
    options.dry_run = dry_run;
    const auto report = document::remove(tree, options);
    CHECK(report.removed.size() == 1);
    CHECK(report.not_found == std::vector<std::string>{"absent"});
  }
}

TEST_CASE_FIXTURE(Fixture, "an id that moves between two files of one run is never lost") {
  const auto line = [](const char* id) { return fmt::format("{{\"id\":\"{0}\",\"text\":\"Text of {0}.\"}}\n", id); };
  for (const bool giver_first : {true, false}) {
    CAPTURE(giver_first);
    const auto a = write("a.jsonl", line("a1") + line("a2")), b = write("b.jsonl", line("b1"));
    ingest({in()});
    write("a.jsonl", line("a1"));
    write("b.jsonl", line("b1") + line("a2"));
    const auto report = giver_first ? ingest({a.string(), b.string()}) : ingest({b.string(), a.string()});
    CHECK(report.faults.empty());
    CHECK(documents() == 3);
    require_sound();
  }
  // Two files that exchange an id each.
  write("a.jsonl", line("b1") + line("a1"));
  write("b.jsonl", line("a2"));
  CHECK(ingest({in()}).faults.empty());
  CHECK(documents() == 3);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "lines that are gone go, beside a line that comes twice") {
  const std::string twice = "{\"id\":\"x\",\"text\":\"One.\"}\n{\"id\":\"x\",\"text\":\"Two.\"}\n";
  const auto path = write("set.jsonl", twice + "{\"id\":\"y\",\"text\":\"Yodel.\"}\n");
  CHECK(ingest({path.string()}).faults.size() == 1);
  CHECK(documents() == 2);
  write("set.jsonl", twice);
  CHECK(ingest({path.string()}).removed == 1);
  CHECK(documents() == 1);
}

TEST_CASE_FIXTURE(Fixture, "one document removed out of a file stays away until its text changes") {
  const auto line = [](const char* id, const char* text) {
    return fmt::format("{{\"id\":\"{}\",\"text\":\"{}\"}}\n", id, text);
  };
  const auto path = write("set.jsonl", line("r1", "One.") + line("r2", "Two.") + line("r3", "Three."));
  ingest({path.string()});
  document::RemoveOptions options;
  options.documents = {"r1"};
  document::remove(tree, options);
  require_sound();
  CHECK(ingest({path.string()}).unchanged == 1);
  CHECK(documents() == 2);
  // Another line changes, so that the whole file is read again.
  write("set.jsonl", line("r1", "One.") + line("r2", "Second.") + line("r3", "Three."));
  CHECK(ingest({path.string()}).replaced == 1);
  CHECK(documents() == 2);
  require_sound();
  write("set.jsonl", line("r1", "First.") + line("r2", "Second.") + line("r3", "Three."));
  CHECK(ingest({path.string()}).added == 1);
  CHECK(documents() == 3);
  require_sound();
  options.documents = {"r1", "r2", "r3"};
  CHECK(document::remove(tree, options).removed.size() == 3);
  CHECK(std::filesystem::is_empty(tree.raw()));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "prune does not take an unmounted folder for an empty one") {
  write("mnt/a.txt", "Some text.");
  write("mnt/b.txt", "Other text.");
  auto with_prune = options({(dir / "in/mnt").string()});
  with_prune.prune = true;
  ingest(with_prune);
  std::filesystem::rename(dir / "in/mnt", dir / "away");
  std::filesystem::create_directory(dir / "in/mnt");
  for (const bool dry_run : {true, false}) {
    with_prune.dry_run = dry_run;
    CHECK_THROWS_WITH_AS(ingest(with_prune), doctest::Contains("2 files were ingested"), Error);
  }
  CHECK(documents() == 2);
  with_prune.force = true;
  CHECK(ingest(with_prune).removed == 2);
  CHECK(documents() == 0);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "equal bytes of two formats keep two texts") {
  write("o.txt", "<p>Some text.</p>");
  write("o.md", "<p>Some text.</p>");
  ingest({in()});
  CHECK(std::distance(std::filesystem::directory_iterator(tree.processed()), {}) == 2);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "verify misses what is gone") {
  write("a.txt", "Some text.");
  ingest({in()});
  const auto shared = tree.vectors(tree::Scope::shared());
  const auto only_fault = [&] {
    const auto report = verify();
    REQUIRE(report.faults.size() == 1);
    return report.faults[0].file + ": " + report.faults[0].what;
  };
  std::filesystem::copy(shared / "metadata.sqlite", dir / "metadata");
  for (const bool empty : {false, true}) {
    std::filesystem::remove(shared / "metadata.sqlite");
    if (empty) std::ofstream(shared / "metadata.sqlite").flush();
    CHECK(only_fault().find(empty ? "metadata.sqlite: empty" : "metadata.sqlite: gone") == 0);
    // Nor does a run begin a new store over the vectors of the old one.
    CHECK_THROWS_WITH_AS(ingest({in()}), doctest::Contains("metadata.sqlite"), Error);
  }
  std::filesystem::copy(dir / "metadata", shared / "metadata.sqlite",
                        std::filesystem::copy_options::overwrite_existing);
  require_sound();
  std::filesystem::remove(tree.registry());
  CHECK(only_fault().find("documents.sqlite: gone") == 0);
  // A new registry knows nothing of the older originals, which is no reason to remove them.
  const auto other = write("b.txt", "Other text.");
  ingest({other.string()});
  for (const auto& fault : verify().faults) CHECK(fault.next_step.find("ingest that file again") == 0);
  ingest({in()});
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a damaged registry is a fault of its own and is never begun anew in silence") {
  write("a.txt", "Some text.");
  ingest({in()});
  for (const std::string& content : {std::string(), std::string(9000, 'x')}) {
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(tree.registry().string() + suffix);
    std::ofstream(tree.registry(), std::ios::trunc) << content;
    const auto report = verify();
    REQUIRE(report.faults.size() == 1);
    CHECK(report.faults[0].file == "documents.sqlite");
    CHECK(report.documents == 1);  // the store was looked at all the same
    try {
      ingest({in()});
      FAIL("a damaged registry was taken for a new one");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
      CHECK_FALSE(error.hint().empty());
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "a dry run looks again at what a run would try again") {
  const auto path = write("set.jsonl", "{\"id\":\"a\",\"text\":\"First one.\"}\n{\"id\":\"b\",\"te\n");
  ingest({path.string()});
  auto dry = options({path.string()});
  dry.dry_run = true;
  CHECK(ingest(dry).unchanged == 0);
  CHECK(ingest(dry).replace == std::vector<std::string>{path.string()});
}

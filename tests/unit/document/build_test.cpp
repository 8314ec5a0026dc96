#include "reef/document/build.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>

#include "reef/core/error.h"
#include "reef/document/bench.h"
#include "reef/document/export.h"
#include "reef/document/ingest.h"
#include "reef/document/store.h"
#include "reef/document/verify.h"
#include "reef/io/file.h"
#include "reef/vector/faiss_helper.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  void ingest(const std::string& name, int documents) {
    std::string lines;
    for (int i = 0; i < documents; ++i)
      lines += fmt::format("{{\"id\":\"{}{}\",\"text\":\"Text {} of {} on rope {}.\"}}\n", name, i, i, name, i % 97);
    document::IngestOptions options;
    options.paths = {write(name, lines).string()};
    const auto make = [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); };
    CHECK(document::ingest(tree, options, make, no_progress()).added == static_cast<std::uint64_t>(documents));
  }
  document::RemoveReport remove(const std::string& name) {
    return document::remove(tree, {.documents = {(dir / "in" / name).string()}});
  }
  document::BuildReport build(const std::string& factory, std::optional<double> recall = std::nullopt) {
    return document::build(tree, {.factory = factory, .recall = recall}, no_progress());
  }
  vector::StoreState state() {
    return document::Snapshot(tree.vectors(tree::Scope::shared()), tree::Scope::shared()).vectors().state();
  }
  std::vector<document::VerifyFault> faults() {
    return document::verify(tree, {tree::Scope::shared()}, std::chrono::milliseconds(0), no_progress()).faults;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what a build made is reported, and why") {
  ingest("a.jsonl", 300);
  auto report = build("");
  CHECK(report.index == vector::IndexKind::graph);
  CHECK(report.asked_recall == .95);
  CHECK(report.reaches_recall());
  CHECK(report.codes_lose.empty());
  if (!vector::faiss_available()) return;
  report = build("IVF4,Flat", .5);
  CHECK(report.index == vector::IndexKind::factory);
  CHECK(report.factory == "IVF4,Flat");
  CHECK(report.rows == 300);
  CHECK(report.bytes > 300 * 32 * sizeof(float));
  CHECK(to_text(report).find("300 vectors in the index IVF4,Flat;") != std::string::npos);
  CHECK(state().index_recall == .5);
  const auto bench = document::bench(tree, {.questions = 20}, no_progress());
  REQUIRE(bench.widths.size() == 2);
  CHECK(std::string(bench.widths[1].search) == "factory");
  CHECK(bench.widths[1].recall >= .9);
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Fixture, "id_mapping.json is what the store holds, or a fault, and a cut one is made again") {
  ingest("a.jsonl", 30);
  const auto path = tree.vectors(tree::Scope::shared()) / "id_mapping.json";
  const std::string whole = io::read_file(path);
  std::string changed = whole;
  changed.replace(changed.find("\"start\":0"), 9, "\"start\":7");
  io::replace_file(path, changed);
  REQUIRE(faults().size() == 1);
  CHECK(faults()[0].file == "id_mapping.json");
  CHECK_FALSE(faults()[0].mends_itself);
  io::replace_file(path, whole.substr(0, 200));
  REQUIRE(faults().size() == 1);
  CHECK(faults()[0].mends_itself);
  document::export_store(tree, {.to = dir / "copy"});
  CHECK(io::read_file(path) == whole);
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Fixture, "rebuilds that nobody asked for keep the factory, or do without it") {
  if (!vector::faiss_available()) return;
  ingest("a.jsonl", 1200);
  ingest("b.jsonl", 1200);
  ingest("c.jsonl", 300);
  build("Flat", .7);
  CHECK(remove("a.jsonl").rebuilt);
  CHECK(state().index_factory == "Flat");
  CHECK(state().index_recall == .7);
  CHECK(state().rows_indexed == 1500);
  CHECK(faults().empty());
  const test::TempDir empty;
  ::setenv("REEF_LIBEXEC", empty.path().c_str(), 1);
  CHECK(remove("b.jsonl").rebuilt);
  ::unsetenv("REEF_LIBEXEC");
  CHECK(state().rows_total == 300);                                // what was removed is purged all the same
  CHECK(vector::index_kind(state()) == vector::IndexKind::graph);  // an index was asked for
  CHECK(faults().empty());
}

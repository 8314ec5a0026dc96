#include "reef/backup/what.h"

#include <doctest/doctest.h>

#include <string>

namespace reef::backup {
namespace {

TEST_CASE("each path of a tree belongs to one part") {
  const auto check = [](const char* path, Part part) {
    CAPTURE(path);
    CHECK(static_cast<int>(part_of(path)) == static_cast<int>(part));
  };
  for (const char* path : {"config/system.yaml", "config/deep/x", ".reef-tree", "models/archived/base/a.json"})
    check(path, Part::config);
  for (const char* path :
       {"data/conversations/conversations.sqlite", "data/documents/documents.sqlite",
        "data/memories/alice/memories.sqlite", "data/memories/alice/embeddings.npy",
        "data/memories/alice/relationships.json", "vectors/shared/metadata.sqlite", "vectors/shared/vectors.npy",
        "vectors/personas/alice/vectors.12.npy", "vectors/conversations/alice/codes.1.npy",
        "vectors/personas/.alice.kept-1a2b/index.3.bin", "vectors/shared/parts/00ff/id_mapping.json",
        "vectors/shards.json", "vectors/shared/parts.json", "vectors/shared/parts/00ff/.part"})
    check(path, Part::store);
  for (const char* path : {"data/documents/raw/ab/abcd", "data/documents/raw", "data/conversations/s1/picture.png",
                           "models/adapters/a/model.safetensors"})
    check(path, Part::original);
  for (const char* path : {"data/documents/processed/ab.jsonl", "models/base/a/model.safetensors", "models/quantized"})
    check(path, Part::bulk);
  for (const char* path : {"cache", "cache/query_latency.bin", "data/backups", "data/backups/tier1.json",
                           ".reef-init.lock", "vectors/.shards.lock", "data/memories/alice/.lock",
                           "config/.system.yaml.aB3xYz.tmp", "models/.fetch/a/part", "lost+found"})
    check(path, Part::never);
  for (const char* path : {"", "notes", "notes/poetry.lock", "vectors", "vectors/personas/alice/vectors.x.npy",
                           "vectors/personas/alice/vectors..npy", "vectors/vectorsnpy", "data/other", "models/else/a",
                           "cachet", "data/conversations/note", "data/memories/note"})
    check(path, Part::other);
}

TEST_CASE("the tiers hold what design/data.md says") {
  const auto tiers = [](Part part, std::uint64_t bytes, bool database = false) {
    std::string in;
    for (int tier = 1; tier <= 3; ++tier)
      if (belongs(part, tier, bytes, database)) in += std::to_string(tier);
    return in;
  };
  constexpr std::uint64_t kMuch = std::uint64_t{1} << 40;
  CHECK(tiers(Part::store, kMuch) == "123");
  CHECK(tiers(Part::config, kMuch) == "123");
  CHECK(tiers(Part::original, 1) == "23");
  CHECK(tiers(Part::bulk, 1) == "3");
  CHECK(tiers(Part::never, 0).empty());
  CHECK(tiers(Part::other, kSmallFileBytes) == "123");
  CHECK(tiers(Part::other, kSmallFileBytes + 1) == "3");
  CHECK(tiers(Part::other, kMuch, true) == "123");
}

TEST_CASE("databases of reef are known by their place, others by their name") {
  CHECK(is_database_of_reef("vectors/shared/metadata.sqlite"));
  CHECK(is_database_of_reef("vectors/shared/parts/00ff/metadata.sqlite"));
  CHECK(is_database_of_reef("data/memories/alice/memories.sqlite"));
  CHECK_FALSE(is_database_of_reef("data/memories/alice/deep/memories.sqlite"));
  CHECK_FALSE(is_database_of_reef("notes/metadata.sqlite"));
  CHECK(may_be_database("notes/metadata.sqlite"));
  CHECK(may_be_database("home.db"));
  CHECK_FALSE(may_be_database("data/documents/raw/ab/a.sqlite"));
  CHECK_FALSE(may_be_database("data/conversations/s1/a.sqlite"));
  CHECK_FALSE(may_be_database("notes.txt"));
}

TEST_CASE("the tree may reach its own folders and its stores through links, and nothing else") {
  for (const char* path : {"vectors", "models/base", "vectors/personas/alice", "vectors/shared/parts/00ff",
                           "vectors/conversations/alice", "data/memories/alice"})
    CHECK(may_be_elsewhere(path));
  for (const char* path : {"notes", "models/base/a", "vectors/personas/alice/deep", "data/documents/raw/ab", ""})
    CHECK_FALSE(may_be_elsewhere(path));
}

}  // namespace
}  // namespace reef::backup

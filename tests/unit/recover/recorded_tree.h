#pragma once

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "reef/document/ingest.h"
#include "reef/io/sqlite.h"
#include "reef/recover/check.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

namespace reef::test {

/// A tree with shared knowledge, and what a snapshot of it would record.
struct RecordedTree : TreeFixture {
  void ingest(const std::string& name, int documents) {
    std::string lines;
    for (int i = 0; i < documents; ++i)
      lines += fmt::format("{{\"id\":\"{}{}\",\"text\":\"Text {} of {} on rope {}.\"}}\n", name, i, i, name, i % 97);
    document::IngestOptions options;
    options.paths = {write(name, lines).string()};
    const auto make = [](const std::string&) { return std::make_unique<FakeEmbedder>(); };
    document::ingest(tree, options, make, no_progress());
  }

  recover::Entries entries() const {
    recover::Entries all;
    for (const auto& found : std::filesystem::recursive_directory_iterator(tree.root())) {
      struct stat status {};
      if (::lstat(found.path().c_str(), &status) != 0) continue;
      if (found.path().native().starts_with(tree.cache().native() + "/")) continue;
      backup::Entry entry;
      entry.path = std::filesystem::relative(found.path(), tree.root()).string();
      entry.type = S_ISDIR(status.st_mode)   ? backup::EntryType::folder
                   : S_ISLNK(status.st_mode) ? backup::EntryType::link
                                             : backup::EntryType::file;
      entry.mode = status.st_mode & 07777U;
      entry.size_bytes = entry.type == backup::EntryType::file ? static_cast<std::uint64_t>(status.st_size) : 0;
      backup::Counts counts;
      if (entry.path == "vectors/shared/metadata.sqlite") {
        io::Database database(found.path(), io::OpenMode::read);
        for (const char* table : {"documents", "chunks"}) {
          auto query = database.prepare(fmt::format("SELECT count(*) FROM {}", table));
          query.step();
          counts.emplace_back(table, static_cast<std::uint64_t>(query.integer(0)));
        }
      }
      if (entry.path == "vectors/shared/vectors.1.npy") counts.emplace_back("rows", 300);
      all.emplace_back(std::move(entry), std::move(counts));
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first.path < b.first.path; });
    // Names of one file: the first is the file, the others are links to it.
    std::map<ino_t, std::string> first;
    for (auto& [entry, counts] : all) {
      struct stat status {};
      if (entry.type != backup::EntryType::file || ::lstat((tree.root() / entry.path).c_str(), &status) != 0) continue;
      const auto [known, is_new] = first.emplace(status.st_ino, entry.path);
      if (!is_new) entry.same_file_as = known->second;
    }
    return all;
  }
};

}  // namespace reef::test

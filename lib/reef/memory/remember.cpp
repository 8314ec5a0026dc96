#include "reef/memory/remember.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/memory/importance.h"
#include "reef/memory/schema.h"
#include "reef/text/sentiment.h"

namespace reef::memory {
namespace {

namespace fs = std::filesystem;

void require_empty(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) return;
  if (error) throw Error(Errc::failed, fmt::format("{}: {}", io::shown(folder), error.message()));
  if (!fs::is_directory(status) || !fs::is_empty(folder))
    throw Error(Errc::usage, fmt::format("{} holds something already", io::shown(folder)),
                "name a folder that is absent or empty");
}

/// What can be made again from the memories, and what belongs to none of them.
void mend(io::Database& memories) {
  bool is_whole = true;
  try {
    memories.execute("INSERT INTO memories_fts(memories_fts, rank) VALUES ('integrity-check', 1)");
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    is_whole = false;
  }
  io::Transaction transaction(memories);
  if (!is_whole) memories.execute("INSERT INTO memories_fts(memories_fts) VALUES ('rebuild')");
  memories.execute("DELETE FROM entities WHERE id NOT IN (SELECT entity FROM memory_entities)");
  transaction.commit();
}

void copy_export(const fs::path& from, const fs::path& to) {
  const io::UniqueFd source = io::open_file(from, O_RDONLY | O_CLOEXEC);
  io::StagedFile target(to);
  io::copy_contents(source.get(), target.fd(), from, to);
  target.commit();
}

}  // namespace

RememberReport remember(const tree::Tree& tree, const std::string& persona, const RememberOptions& options,
                        embed::Embedder* embedder, Progress& progress) {
  require_text(options.text);
  RememberReport report;
  report.persona = persona;
  Store store(tree, persona, options.store);
  std::vector<float> vector;
  if (embedder != nullptr) {
    store.use_embedder(*embedder, options.threads, progress);
    vector.resize(embedder->identity().dim);
    const std::string_view text = options.text;
    embedder->embed_passages({&text, 1}, vector, options.threads, progress);
  }
  NewMemory memory;
  memory.content = options.text;
  memory.embedding = vector;
  memory.importance = kAskedScore;
  memory.created_at = now();
  memory.tags = options.tags;
  memory.even_if_forgotten = true;
  memory.valence = text::sentiment(options.text);
  for (const text::Name& name : Importance({}, store.database()).names(options.text))
    memory.entities.push_back({name.written, "name"});
  io::Transaction transaction(store.database());
  report.result = store.remember(memory);
  transaction.commit();
  report.has_vector = !vector.empty();
  report.finish = store.finish_run();
  return report;
}

ExportReport export_memories(const tree::Tree& tree, const std::string& persona, const ExportOptions& options,
                             embed::Embedder* embedder, Progress& progress) {
  read_memories(tree, persona);  // which is not made by exporting
  if (!options.to.empty()) require_empty(options.to);
  ExportReport report;
  report.persona = persona;
  report.to = options.to;
  StoreOptions store_options = options.store;
  store_options.purges = true;
  Store store(tree, persona, store_options);
  mend(store.database());
  if (embedder != nullptr) report.embedded = store.use_embedder(*embedder, options.threads, progress);
  report.written = store.finish_run(true);
  if (options.to.empty()) return report;
  fs::create_directories(options.to);
  for (const std::string& name : report.written.files) copy_export(store.folder() / name, fs::path(options.to) / name);
  return report;
}

}  // namespace reef::memory

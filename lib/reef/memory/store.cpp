#include "reef/memory/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/memory/exports.h"
#include "reef/memory/internal/loaded.h"
#include "reef/memory/schema.h"
#include "reef/session/schema.h"
#include "reef/session/turn_passages.h"
#include "reef/tree/folders.h"
#include "reef/vector/store.h"

namespace reef::memory {
namespace {

constexpr std::size_t kEmbedBatch = 256;

/// Made before it is locked.
std::filesystem::path folder_of(const tree::Tree& tree, const std::string& persona) {
  auto folder = tree.memories(persona);
  tree::make_folders(folder);
  return folder;
}

struct Text {
  std::int64_t id;
  std::int64_t message;  ///< that said it; 0: none
  std::string content;
};

std::vector<Text> texts_to_embed(io::Database& database, bool all) {
  std::vector<Text> texts;
  auto select = database.prepare(
      "SELECT id, ifnull(source_message, 0), content FROM memories WHERE ?1 OR embedding IS NULL ORDER BY id");
  select.bind(1, all ? 1 : 0);
  while (select.step()) texts.push_back({select.integer(0), select.integer(1), std::string(select.text(2))});
  return texts;
}

/// What a message said is embedded with what stood before it, as its conversation has it.
void add_previous(std::vector<Text>& texts, const tree::Tree& tree, const embed::Embedder& embedder) {
  if (std::none_of(texts.begin(), texts.end(), [](const Text& text) { return text.message != 0; })) return;
  std::error_code unreadable;
  if (!std::filesystem::exists(session::conversations_file(tree), unreadable)) return;
  io::Database conversations = session::read_conversations(tree);
  session::TurnPassages passages(conversations);
  for (Text& text : texts)
    if (text.message != 0) text.content = passages.of(text.message, text.content, embedder);
}

std::vector<float> embed_all(const std::vector<Text>& texts, embed::Embedder& embedder, unsigned threads,
                             Progress& progress) {
  const std::size_t dim = embedder.identity().dim;
  std::vector<float> vectors(texts.size() * dim);
  progress.begin("embedding memories", texts.size(), ProgressUnit::items);
  for (std::size_t begin = 0; begin < texts.size(); begin += kEmbedBatch) {
    const std::size_t count = std::min(kEmbedBatch, texts.size() - begin);
    std::vector<std::string_view> views;
    for (std::size_t i = begin; i < begin + count; ++i) views.emplace_back(texts[i].content);
    embedder.embed_passages(views, std::span(vectors).subspan(begin * dim, count * dim), threads, progress);
  }
  progress.end();
  return vectors;
}

/// Links follow the vectors; those that somebody made stay.
void link_again(io::Database& database) {
  database.execute("DELETE FROM links WHERE NOT manual");
  auto insert = database.prepare(internal::kInsertLink);
  internal::Neighbours neighbours;
  internal::load_neighbours(database, neighbours, [&](std::int64_t id, std::vector<internal::Neighbour> near) {
    internal::insert_links(insert, id, std::move(near));
  });
}

}  // namespace

Store::Store(const tree::Tree& tree, const std::string& persona, const StoreOptions& options)
    : tree_(tree),
      folder_(folder_of(tree, persona)),
      persona_(persona),
      options_(options),
      lock_(folder_ / ".lock", options.wait),
      database_((io::remove_stale(folder_), open_memories(tree, persona))) {
  database_.expect_many_rows();
  watch_json_exports(database_);
}

Store::~Store() = default;

Store::Loaded& Store::loaded() {
  if (!loaded_) loaded_ = std::make_unique<Loaded>(database_);
  return *loaded_;
}

void Store::reload() { loaded_.reset(); }

std::uint64_t Store::use_embedder(embed::Embedder& embedder, unsigned threads, Progress& progress) {
  const embed::Identity identity = embedder.identity();
  VectorState state = read_vector_state(database_);
  const bool other = state.model_digest != identity.digest || state.dim != identity.dim;
  std::vector<Text> texts = texts_to_embed(database_, other);
  if (!other && texts.empty()) return 0;
  add_previous(texts, tree_, embedder);
  const std::vector<float> vectors = embed_all(texts, embedder, threads, progress);
  reload();
  io::Transaction transaction(database_);
  if (other) {
    database_.execute("UPDATE memories SET vector_row = NULL");
    if (state.rows > 0) ++state.serial;
    state.rows = 0;
    state.model = identity.name;
    state.model_digest = identity.digest;
    state.dim = identity.dim;
    state.threshold.reset();
    state.calibrated = 0;
  }
  auto update = database_.prepare("UPDATE memories SET embedding = ?, vector_row = ? WHERE id = ?");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto row = std::span(vectors).subspan(i * state.dim, state.dim);
    update.bind_blob(1, internal::bytes_of(row)).bind(2, static_cast<std::int64_t>(state.rows++));
    update.bind(3, texts[i].id).run();
  }
  write_vector_state(database_, state);
  if (!texts.empty()) link_again(database_);
  transaction.commit();
  return texts.size();
}

void Store::require_unit_row(std::span<const float> vector) const {
  const std::size_t dim = loaded_->state.dim;
  if (vector.size() == dim && dim > 0 && vector::is_unit(vector)) return;
  throw Error(
      Errc::failed,
      fmt::format("memories of '{}': a vector of {} values is no unit vector of the {} dimensions that {} makes",
                  persona_, vector.size(), dim, dim == 0 ? "no model" : loaded_->state.model));
}

internal::Scanner Store::scanner() { return loaded().neighbours.scanner(internal::kNearest); }

bool Store::is_recent(const internal::Scan& scan) { return loaded().neighbours.is_recent(scan); }

std::optional<Nearest> Store::nearest(std::span<const float> vector, std::string_view content,
                                      const internal::Scan* scanned) {
  Loaded& all = loaded();
  if (all.neighbours.vectors() == 0) return std::nullopt;
  require_unit_row(vector);
  const auto near = all.neighbours.find(vector, {}, content, 1, scanned);
  if (near.empty()) return std::nullopt;
  return Nearest{near.front().id, near.front().cosine};
}

double Store::duplicate_threshold() {
  constexpr std::size_t kFewVectors = 256;
  constexpr double kLeast = .95, kWithFew = .98, kQuantile = .999;
  Loaded& all = loaded();
  const std::uint64_t vectors = all.neighbours.vectors();
  if (vectors >= kFewVectors && vectors >= 2 * all.state.calibrated) {
    const double unrelated = all.neighbours.cosine_quantile(kQuantile);
    all.state.threshold = std::clamp(1 - (1 - unrelated) / 2, kLeast, 1.0);
    all.state.calibrated = vectors;
    auto update = database_.prepare("UPDATE vector_state SET threshold = ?, calibrated = ?");
    update.bind(1, *all.state.threshold).bind(2, static_cast<std::int64_t>(vectors)).run();
  }
  return all.state.threshold.value_or(kWithFew);
}

bool Store::is_forgotten(std::optional<std::int64_t> message, std::string_view speaker, std::string_view content) {
  return is_hash_forgotten(message, content_hash(content), said_hash(speaker, content));
}

bool Store::is_hash_forgotten(std::optional<std::int64_t> message, const std::string& content,
                              const std::string& said) {
  io::Statement& find = loaded().find_tombstone;
  if (message)
    find.bind(1, *message);
  else
    find.bind_null(1);
  const bool found = find.bind(2, content).bind(3, said).step();
  find.reset();
  return found;
}

std::string said_hash(std::string_view speaker, std::string_view content) {
  return content_hash(fmt::format("{}:{} {}", speaker.size(), speaker, content));
}

std::string shown_id(std::int64_t id) { return fmt::format("M{}", id); }

std::int64_t parse_id(const std::string& text) {
  const bool lettered = text.starts_with('M') || text.starts_with('m');
  try {
    const std::uint64_t id = parse_count(lettered ? text.substr(1) : text, "ID");
    if (id > 0 && id <= INT64_MAX) return static_cast<std::int64_t>(id);
  } catch (const Error&) {  // told below
  }
  throw Error(Errc::usage, fmt::format("'{}' is no memory's id", text), "ids look like M12: see 'reef-memory list'");
}

void touch(const tree::Tree& tree, const std::string& persona, std::span<const std::int64_t> ids) noexcept {
  if (ids.empty()) return;
  try {
    io::Database database(memories_file(tree, persona), io::OpenMode::write);
    database.execute("PRAGMA busy_timeout = 0");
    io::require_version(database, kMemoriesVersion);
    io::Transaction transaction(database);
    auto update = database.prepare(
        "UPDATE memories SET access_count = ifnull(access_count, 0) + 1, last_accessed = ? WHERE id = ?");
    const std::string time = to_database_time(now());
    for (const std::int64_t id : ids) update.bind(1, time).bind(2, id).run();
    transaction.commit();
  } catch (...) {  // an answer is no worse for it
  }
}

}  // namespace reef::memory

#include "reef/document/registry.h"

#include <fmt/format.h>

#include "reef/core/error.h"

namespace reef::document {
namespace {

constexpr const char* kMigrations[] = {R"sql(
CREATE TABLE sources (
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL,
  path TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  next_sha256 TEXT NOT NULL,
  format TEXT NOT NULL,
  extension TEXT NOT NULL,
  text_only INTEGER NOT NULL,
  model_digest TEXT NOT NULL,
  tags TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'failed', 'removing')),
  reason TEXT NOT NULL,
  documents INTEGER NOT NULL,
  first_seen TEXT NOT NULL,
  last_seen TEXT NOT NULL,
  UNIQUE (scope, path)
) STRICT;
CREATE INDEX sources_sha256 ON sources(sha256);
CREATE INDEX sources_next ON sources(next_sha256) WHERE next_sha256 <> '';
CREATE INDEX sources_unfinished ON sources(scope) WHERE state IN ('pending', 'removing');
)sql"};

constexpr const char* kColumns =
    "id, scope, path, bytes, mtime_ns, ctime_ns, sha256, next_sha256, format, extension, text_only, model_digest, "
    "tags, state, reason, documents, first_seen, last_seen";

SourceState parse_state(std::string_view text) {
  for (const auto state : {SourceState::pending, SourceState::done, SourceState::failed, SourceState::removing})
    if (text == state_name(state)) return state;
  throw Error(Errc::corrupt, fmt::format("documents.sqlite holds the unknown state '{}'", text));
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

Source read_row(const io::Statement& row) {
  Source source;
  source.id = row.integer(0);
  source.scope = tree::Scope::parse(row.text(1));
  source.path = row.text(2);
  source.bytes = static_cast<std::uint64_t>(row.integer(3));
  source.mtime_ns = row.integer(4);
  source.ctime_ns = row.integer(5);
  source.sha256 = row.text(6);
  source.next_sha256 = row.text(7);
  source.format = row.text(8);
  source.extension = row.text(9);
  source.text_only = row.integer(10) != 0;
  source.model_digest = row.text(11);
  source.tags = split_lines(row.text(12));
  source.state = parse_state(row.text(13));
  source.reason = row.text(14);
  source.documents = row.integer(15);
  source.first_seen = row.text(16);
  source.last_seen = row.text(17);
  return source;
}

std::vector<Source> read_all(io::Statement& statement) {
  std::vector<Source> sources;
  while (statement.step()) sources.push_back(read_row(statement));
  return sources;
}

}  // namespace

const char* state_name(SourceState state) {
  switch (state) {
    case SourceState::pending:
      return "pending";
    case SourceState::done:
      return "done";
    case SourceState::failed:
      return "failed";
    case SourceState::removing:
      return "removing";
  }
  return "";
}

Registry::Registry(const std::filesystem::path& path) : database_(path, io::OpenMode::read) {
  io::require_version(database_, kVersion);
}

Registry::Registry(const std::filesystem::path& path, const std::filesystem::path& staging)
    : database_(io::open_or_make(path, kMigrations, staging)) {}

std::unique_ptr<Registry> Registry::open_if_sound(const std::filesystem::path& path, std::string* damage) {
  std::error_code absent;
  if (!std::filesystem::exists(path, absent)) return nullptr;
  try {
    return std::make_unique<Registry>(path);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    if (damage) *damage = error.what();
    return nullptr;
  }
}

std::optional<Source> Registry::find(const tree::Scope& scope, const std::string& path) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM sources WHERE scope = ? AND path = ?", kColumns));
  statement.bind(1, scope.name()).bind(2, path);
  if (!statement.step()) return std::nullopt;
  return read_row(statement);
}

void Registry::save(Source& source) {
  auto statement = database_.prepare(
      "INSERT INTO sources (scope, path, bytes, mtime_ns, ctime_ns, sha256, next_sha256, format, extension, text_only, "
      "model_digest, tags, state, reason, documents, first_seen, last_seen) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
      "ON CONFLICT (scope, path) DO UPDATE SET bytes = excluded.bytes, mtime_ns = excluded.mtime_ns, ctime_ns = "
      "excluded.ctime_ns, sha256 = excluded.sha256, next_sha256 = excluded.next_sha256, format = excluded.format, "
      "extension = excluded.extension, text_only = excluded.text_only, model_digest = excluded.model_digest, tags = "
      "excluded.tags, state = excluded.state, reason = excluded.reason, documents = excluded.documents, last_seen = "
      "excluded.last_seen RETURNING id");
  statement.bind(1, source.scope.name()).bind(2, source.path);
  statement.bind(3, static_cast<std::int64_t>(source.bytes)).bind(4, source.mtime_ns).bind(5, source.ctime_ns);
  statement.bind(6, source.sha256).bind(7, source.next_sha256).bind(8, source.format).bind(9, source.extension);
  statement.bind(10, source.text_only ? 1 : 0).bind(11, source.model_digest);
  statement.bind(12, fmt::format("{}", fmt::join(source.tags, "\n"))).bind(13, state_name(source.state));
  statement.bind(14, source.reason).bind(15, source.documents).bind(16, source.first_seen).bind(17, source.last_seen);
  if (!statement.step()) throw Error(Errc::failed, "documents.sqlite did not take a row");
  source.id = statement.integer(0);
  while (statement.step()) {
  }
}

void Registry::erase(std::int64_t id) {
  auto statement = database_.prepare("DELETE FROM sources WHERE id = ?");
  statement.bind(1, id).run();
}

std::vector<Source> Registry::list(const tree::Scope& scope) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM sources WHERE scope = ? ORDER BY path", kColumns));
  statement.bind(1, scope.name());
  return read_all(statement);
}

std::vector<tree::Scope> Registry::scopes() {
  auto statement = database_.prepare("SELECT DISTINCT scope FROM sources WHERE documents > 0 ORDER BY scope");
  std::vector<tree::Scope> scopes;
  while (statement.step()) scopes.push_back(tree::Scope::parse(statement.text(0)));
  return scopes;
}

std::vector<Source> Registry::unfinished(const tree::Scope& scope) {
  auto statement = database_.prepare(
      fmt::format("SELECT {} FROM sources WHERE scope = ? AND state IN ('pending', 'removing') ORDER BY id", kColumns));
  statement.bind(1, scope.name());
  return read_all(statement);
}

std::int64_t Registry::references(const std::string& sha256, const std::string& extension) {
  auto statement =
      database_.prepare("SELECT count(*) FROM sources WHERE (sha256 = ?1 OR next_sha256 = ?1) AND extension = ?2");
  statement.bind(1, sha256).bind(2, extension).step();
  return statement.integer(0);
}

}  // namespace reef::document

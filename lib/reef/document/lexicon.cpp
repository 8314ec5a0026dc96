#include "reef/document/lexicon.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "reef/core/error.h"

namespace reef::document {
namespace {

/// English function words: in a question they match nearly every row and mean nothing.
constexpr std::array<std::string_view, 127> kStopWords{
    "a",     "about",   "after", "again",   "all",  "also",   "am",    "an",      "and",   "any",    "are",
    "as",    "at",      "be",    "because", "been", "before", "being", "between", "both",  "but",    "by",
    "can",   "could",   "did",   "do",      "does", "doing",  "down",  "during",  "each",  "few",    "for",
    "from",  "further", "had",   "has",     "have", "having", "he",    "her",     "here",  "hers",   "him",
    "his",   "how",     "i",     "if",      "in",   "into",   "is",    "it",      "its",   "itself", "just",
    "me",    "more",    "most",  "my",      "no",   "nor",    "not",   "now",     "of",    "off",    "on",
    "once",  "only",    "or",    "other",   "our",  "ours",   "out",   "over",    "own",   "s",      "same",
    "she",   "should",  "so",    "some",    "such", "t",      "than",  "that",    "the",   "their",  "theirs",
    "them",  "then",    "there", "these",   "they", "this",   "those", "through", "to",    "too",    "under",
    "until", "up",      "very",  "was",     "we",   "were",   "what",  "when",    "where", "which",  "while",
    "who",   "whom",    "why",   "will",    "with", "would",  "you",   "your",    "yours", "may",    "might",
    "must",  "upon",    "via"};

bool is_stop_word(std::string_view word) {
  static const std::unordered_set<std::string_view> kSet(kStopWords.begin(), kStopWords.end());
  return kSet.contains(word);
}

/// What FTS5 calls back with: one call for each row that holds the phrase.
struct Collector {
  std::vector<Postings>* postings = nullptr;
  int phrase = 0;
};

int take_row(const Fts5ExtensionApi* api, Fts5Context* context, void* user) {
  auto& collector = *static_cast<Collector*>(user);
  Postings& postings = (*collector.postings)[static_cast<std::size_t>(collector.phrase)];
  Fts5PhraseIter iterator;
  int column = 0, offset = 0;
  std::uint32_t count = 0;
  int code = api->xPhraseFirst(context, 0, &iterator, &column, &offset);
  if (code != SQLITE_OK) return code;
  for (; column >= 0; api->xPhraseNext(context, &iterator, &column, &offset)) ++count;
  postings.chunks.push_back(api->xRowid(context));
  postings.counts.push_back(count);
  return SQLITE_OK;
}

/// SQL function reef_postings(table): called once, for the first matching row, it asks for every
/// phrase's rows and leaves them in the collector.
void collect_postings(const Fts5ExtensionApi* api, Fts5Context* context, sqlite3_context* result, int,
                      sqlite3_value**) {
  auto* postings = static_cast<std::vector<Postings>*>(api->xUserData(context));
  const int phrases = std::min(api->xPhraseCount(context), static_cast<int>(postings->size()));
  for (int i = 0; i < phrases; ++i) {
    Collector collector{postings, i};
    const int code = api->xQueryPhrase(context, i, &collector, &take_row);
    if (code != SQLITE_OK) {
      sqlite3_result_error_code(result, code);
      return;
    }
  }
  sqlite3_result_int(result, phrases);
}

fts5_api* fts5_of(sqlite3* database) {
  fts5_api* api = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, "SELECT fts5(?1)", -1, &statement, nullptr) == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  if (api == nullptr) throw Error(Errc::failed, "this SQLite has no FTS5", "install Debian's libsqlite3");
  return api;
}

void add_new(std::vector<std::string>& words, std::string word) {
  if (!word.empty() && std::find(words.begin(), words.end(), word) == words.end()) words.push_back(std::move(word));
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

/// What unicode61 makes of ASCII, without SQLite: most questions are of that kind.
std::vector<std::string> ascii_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))
      word += c;
    else if (c >= 'A' && c <= 'Z')
      word += static_cast<char>(c + 32);
    else
      add_new(words, std::exchange(word, {}));
  }
  add_new(words, std::move(word));
  return words;
}

/// FTS5's own tokenizer under the one that stems: which characters part words (dashes, no-break
/// spaces, quotes, …) is then the same for questions and texts.
class Unicode61 {
 public:
  Unicode61() {
    fts5_api* api = fts5_of(database_.handle());
    void* context = nullptr;
    if (api->xFindTokenizer(api, "unicode61", &context, &methods_) != SQLITE_OK ||
        methods_.xCreate(context, nullptr, 0, &tokenizer_) != SQLITE_OK)
      throw Error(Errc::failed, "this SQLite has no tokenizer unicode61", "install Debian's libsqlite3");
  }
  Unicode61(const Unicode61&) = delete;
  Unicode61& operator=(const Unicode61&) = delete;
  ~Unicode61() { methods_.xDelete(tokenizer_); }

  std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> words;
    const auto take = [](void* into, int, const char* token, int size, int, int) {
      add_new(*static_cast<std::vector<std::string>*>(into), std::string(token, static_cast<std::size_t>(size)));
      return SQLITE_OK;
    };
    const int size = static_cast<int>(std::min<std::size_t>(text.size(), INT_MAX));
    if (methods_.xTokenize(tokenizer_, &words, FTS5_TOKENIZE_QUERY, text.data(), size, take) != SQLITE_OK)
      throw Error(Errc::failed, "FTS5 could not part the question into words");
    return words;
  }

 private:
  io::Database database_{":memory:", io::OpenMode::create};  ///< none of ours need be open yet
  fts5_tokenizer methods_{};
  Fts5Tokenizer* tokenizer_ = nullptr;
};

}  // namespace

std::vector<std::string> query_terms(std::string_view text) {
  std::vector<std::string> words = is_ascii(text) ? ascii_words(text) : Unicode61().words(text);
  std::vector<std::string> terms;
  std::copy_if(words.begin(), words.end(), std::back_inserter(terms),
               [](const std::string& w) { return !is_stop_word(w); });
  return terms.empty() ? words : terms;
}

double inverse_document_frequency(double rows, double rows_with_term) {
  return std::max(1e-6, std::log((rows - rows_with_term + .5) / (rows_with_term + .5)));
}

PostingsFinder::PostingsFinder(io::Database& database) : found_(std::make_unique<std::vector<Postings>>()) {
  fts5_api* api = fts5_of(database.handle());
  if (api->xCreateFunction(api, "reef_postings", found_.get(), &collect_postings, nullptr) != SQLITE_OK)
    throw Error(Errc::failed, "FTS5 refused a function");
  statement_ = database.prepare("SELECT reef_postings(chunks_fts) FROM chunks_fts WHERE chunks_fts MATCH ? LIMIT 1");
}

std::vector<Postings> PostingsFinder::find(std::span<const std::string> terms) {
  found_->assign(terms.size(), {});
  if (terms.empty()) return {};
  std::string query;
  for (const std::string& term : terms) query += fmt::format("{}\"{}\"", query.empty() ? "" : " OR ", term);
  statement_.bind(1, query).step();
  statement_.reset();
  return std::move(*found_);
}

void ChunkMap::load(io::Database& database) {
  *this = {};
  static_assert(sizeof(Entry) == 6, "the entries of table chunk_map");
  // No chunk has a higher id than the last one given: a damaged number must not ask for terabytes.
  auto statement = database.prepare(
      "SELECT page, entries, (SELECT seq FROM sqlite_sequence WHERE name = 'chunks') FROM chunk_map ORDER BY page "
      "DESC");
  while (statement.step()) {
    const std::int64_t page = statement.integer(0);
    const auto blob = statement.blob(1);
    if (page < 0 || page > statement.integer(2) / kPage || blob.size() > kPage * sizeof(Entry) ||
        blob.size() % sizeof(Entry) != 0)
      throw Error(Errc::corrupt, fmt::format("{}: table chunk_map, page {} is damaged", database.path(), page),
                  "restore the file from a backup, or remove the scope's documents and ingest them again");
    const auto begin = static_cast<std::size_t>(page * kPage);
    // The last page comes first: one allocation holds all.
    entries_.resize(std::max(entries_.size(), begin + blob.size() / sizeof(Entry)));
    std::memcpy(entries_.data() + begin, blob.data(), blob.size());
  }
  for (const Entry& entry : entries_) count(entry, 1);
}

void ChunkMap::count(const Entry& entry, std::int64_t sign) {
  if (entry.words == 0) return;
  const int kind = (entry.words & kTextOnly) != 0 ? 1 : 0;
  rows_[kind] += sign;
  words_[kind] += sign * (entry.words & kWords);
}

void ChunkMap::touch(std::int64_t chunk) {
  if (changed_.empty() || changed_.back() != chunk / kPage) changed_.push_back(chunk / kPage);
}

std::optional<std::uint64_t> ChunkMap::row(std::int64_t chunk) const {
  const Entry entry = at(chunk);
  if (entry.words == 0 || (entry.words & kTextOnly) != 0) return std::nullopt;
  return entry.row();
}

std::optional<std::int64_t> ChunkMap::chunk_of_row(std::uint64_t row) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), row,
                                      [](const Entry& entry, std::uint64_t wanted) { return entry.row() < wanted; });
  // Row 0 is also what the entries before the first vector repeat.
  for (auto entry = found; entry != entries_.end() && entry->row() == row; ++entry)
    if (entry->words != 0 && (entry->words & kTextOnly) == 0) return entry - entries_.begin();
  return std::nullopt;
}

void ChunkMap::set(std::int64_t chunk, std::uint32_t words, std::optional<std::uint64_t> row) {
  if (row && *row > UINT32_MAX)
    throw Error(Errc::failed, "a store holds at most 4,294,967,296 vectors", "spread the documents over personas");
  const auto index = static_cast<std::size_t>(chunk);
  const std::uint32_t before = entries_.empty() ? 0 : entries_.back().row();
  while (entries_.size() <= index) {
    Entry gap;
    gap.row_low = static_cast<std::uint16_t>(before);
    gap.row_high = static_cast<std::uint16_t>(before >> 16);
    touch(static_cast<std::int64_t>(entries_.size()));
    entries_.push_back(gap);
  }
  Entry& entry = entries_[index];
  count(entry, -1);
  // At least one word, so that a chunk without any still counts as a row.
  entry.words = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(words, 1, kWords) | (row ? 0u : kTextOnly));
  if (row) {
    entry.row_low = static_cast<std::uint16_t>(*row);
    entry.row_high = static_cast<std::uint16_t>(*row >> 16);
  }
  count(entry, 1);
  touch(chunk);
}

void ChunkMap::clear(std::int64_t chunk) {
  if (chunk < 0 || static_cast<std::size_t>(chunk) >= entries_.size()) return;
  Entry& entry = entries_[static_cast<std::size_t>(chunk)];
  count(entry, -1);
  entry.words = 0;
  touch(chunk);
}

void ChunkMap::renumber(std::span<const std::uint64_t> kept) {
  // Entries are sorted by row, those without one included; a removed row becomes the next that was kept.
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    while (next < kept.size() && kept[next] < entries_[i].row()) ++next;
    entries_[i].row_low = static_cast<std::uint16_t>(next);
    entries_[i].row_high = static_cast<std::uint16_t>(next >> 16);
    if (i % kPage == 0) touch(static_cast<std::int64_t>(i));
  }
}

void ChunkMap::save(io::Database& database) {
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  auto statement = database.prepare("INSERT OR REPLACE INTO chunk_map (page, entries) VALUES (?, ?)");
  for (const std::int64_t page : changed_) {
    const auto begin = static_cast<std::size_t>(page * kPage);
    const std::size_t size = std::min(entries_.size() - begin, static_cast<std::size_t>(kPage));
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(entries_.data() + begin);
    statement.bind(1, page).bind_blob(2, {bytes, sizeof(Entry) * size}).run();
  }
  changed_.clear();
}

}  // namespace reef::document

#include "reef/text/full_text.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "reef/core/error.h"

namespace reef::text {
namespace {

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

/// What FTS5 calls back with: one call for each row that holds the phrase.
struct Collector {
  std::vector<Postings>* postings = nullptr;
  int phrase = 0;
};

/// Adds the row where `context` stands, which holds the query's first phrase.
int take_row_into(Postings& postings, const Fts5ExtensionApi* api, Fts5Context* context) {
  Fts5PhraseIter iterator;
  int column = 0, offset = 0;
  std::uint32_t count = 0;
  int code = api->xPhraseFirst(context, 0, &iterator, &column, &offset);
  if (code != SQLITE_OK) return code;
  for (; column >= 0; api->xPhraseNext(context, &iterator, &column, &offset)) ++count;
  postings.rows.push_back(api->xRowid(context));
  postings.counts.push_back(count);
  return SQLITE_OK;
}

int take_row(const Fts5ExtensionApi* api, Fts5Context* context, void* user) {
  auto& collector = *static_cast<Collector*>(user);
  return take_row_into((*collector.postings)[static_cast<std::size_t>(collector.phrase)], api, context);
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

/// SQL function reef_posting(table): adds the present row to the postings of the last term.
void collect_posting(const Fts5ExtensionApi* api, Fts5Context* context, sqlite3_context* result, int, sqlite3_value**) {
  auto* postings = static_cast<std::vector<Postings>*>(api->xUserData(context));
  const int code = take_row_into(postings->back(), api, context);
  if (code != SQLITE_OK)
    sqlite3_result_error_code(result, code);
  else
    sqlite3_result_int(result, 1);
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

/// Words of a question, each once. Of a text that somebody passed as one, the first so many.
class DistinctWords {
 public:
  void add(std::string word) {
    constexpr std::size_t kMost = 1024;
    if (!word.empty() && words_.size() < kMost && seen_.insert(word).second) words_.push_back(std::move(word));
  }
  std::vector<std::string> take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
  std::unordered_set<std::string> seen_;
};

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

/// What unicode61 makes of ASCII, without SQLite: most questions are of that kind.
std::vector<std::string> ascii_words(std::string_view text) {
  DistinctWords words;
  std::string word;
  for (const char c : text) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))
      word += c;
    else if (c >= 'A' && c <= 'Z')
      word += static_cast<char>(c + 32);
    else
      words.add(std::exchange(word, {}));
  }
  words.add(std::move(word));
  return words.take();
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
    DistinctWords words;
    const auto take = [](void* into, int, const char* token, int size, int, int) {
      static_cast<DistinctWords*>(into)->add(std::string(token, static_cast<std::size_t>(size)));
      return SQLITE_OK;
    };
    const int size = static_cast<int>(std::min<std::size_t>(text.size(), INT_MAX));
    if (methods_.xTokenize(tokenizer_, &words, FTS5_TOKENIZE_QUERY, text.data(), size, take) != SQLITE_OK)
      throw Error(Errc::failed, "FTS5 could not part the question into words");
    return words.take();
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

bool is_stop_word(std::string_view word) {
  static const std::unordered_set<std::string_view> kSet(kStopWords.begin(), kStopWords.end());
  return kSet.contains(word);
}

double inverse_document_frequency(double rows, double rows_with_term) {
  return std::max(1e-6, std::log((rows - rows_with_term + .5) / (rows_with_term + .5)));
}

PostingsFinder::PostingsFinder(io::Database& database, const std::string& table)
    : database_(&database), table_(table), found_(std::make_unique<std::vector<Postings>>()) {
  fts5_api* api = fts5_of(database.handle());
  if (api->xCreateFunction(api, "reef_postings", found_.get(), &collect_postings, nullptr) != SQLITE_OK ||
      api->xCreateFunction(api, "reef_posting", found_.get(), &collect_posting, nullptr) != SQLITE_OK)
    throw Error(Errc::failed, "FTS5 refused a function");
  whole_ = database.prepare(fmt::format("SELECT reef_postings({0}) FROM {0} WHERE {0} MATCH ? LIMIT 1", table));
}

std::vector<Postings> PostingsFinder::find(std::span<const std::string> terms) {
  found_->assign(terms.size(), {});
  if (terms.empty()) return {};
  std::string query;
  for (const std::string& term : terms) query += fmt::format("{}\"{}\"", query.empty() ? "" : " OR ", term);
  whole_.bind(1, query).step();
  whole_.reset();
  return std::move(*found_);
}

std::vector<Postings> PostingsFinder::find(std::span<const std::string> terms, std::int64_t first, std::int64_t last) {
  if (range_.handle() == nullptr)
    range_ = database_->prepare(
        fmt::format("SELECT reef_posting({0}) FROM {0} WHERE {0} MATCH ? AND rowid BETWEEN ? AND ?", table_));
  found_->clear();
  for (const std::string& term : terms) {
    found_->emplace_back();
    range_.bind(1, fmt::format("\"{}\"", term)).bind(2, first).bind(3, last);
    while (range_.step()) {
    }
    range_.reset();
  }
  return std::move(*found_);
}

std::uint32_t words_in_row(std::span<const std::uint8_t> bytes) {
  std::uint64_t sum = 0, value = 0;
  for (const std::uint8_t byte : bytes) {
    value = value << 7 | (byte & 0x7fu);
    if ((byte & 0x80u) != 0) continue;
    sum += value;
    value = 0;
  }
  return static_cast<std::uint32_t>(sum < UINT32_MAX ? sum : UINT32_MAX);
}

}  // namespace reef::text

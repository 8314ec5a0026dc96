#include "reef/text/full_text.h"

#include <doctest/doctest.h>

#include "support/temp_dir.h"

using namespace reef;

TEST_CASE("query terms are lower case, each once, without stop words") {
  CHECK(text::query_terms("Does the Lease end? THE lease!") == std::vector<std::string>{"lease", "end"});
  CHECK(text::query_terms("to be or not to be") == std::vector<std::string>{"to", "be", "or", "not"});
  CHECK(text::query_terms("  ?! ").empty());
  std::string long_text;
  for (int i = 0; i < 60'000; ++i) long_text += "word" + std::to_string(i) + " ";
  CHECK(text::query_terms(long_text).size() == 1024);
}

TEST_CASE("query terms end where FTS5 ends words, and are folded as it folds them") {
  const auto terms = [](const char* text) { return text::query_terms(text); };
  const std::vector<std::string> two{"backup", "restore"};
  for (const char* question :
       {"backup restore", "backup—restore", "Backup\u00a0restore", "“backup” … ‘restore’", "backup • restore‽",
        "backup\u200brestore", "backup、restore。", "backup 💾 restore", "backup—Backup restore"}) {
    CAPTURE(question);
    CHECK(terms(question) == two);
  }
  CHECK(terms("The naïve café, CAFÉ") == std::vector<std::string>{"naive", "cafe"});
  CHECK(terms("cafe\u0301") == std::vector<std::string>{"cafe"});  // an accent of its own
  CHECK(terms("Ärger über Straßen") == std::vector<std::string>{"arger", "uber", "straßen"});
  CHECK(terms("l’oiseau d'été") == std::vector<std::string>{"l", "oiseau", "d", "ete"});
  CHECK(terms("東京タワー、高さ") == std::vector<std::string>{"東京タワー", "高さ"});
  CHECK(terms("ПОЖАР 42½") == std::vector<std::string>{"пожар", "42½"});
  CHECK(terms("—\u00a0💾").empty());
}

TEST_CASE("words of ASCII are the same with and without the tokenizer") {
  for (std::string question : {"Does the lease_end?", "a-b c.d/e", "x2 3y \x01 \x7f z", "tab\there"}) {
    CAPTURE(question);
    CHECK(text::query_terms(question + " q") == text::query_terms(question + "\u00a0q"));
  }
}

TEST_CASE("inverse document frequency is FTS5's") {
  CHECK(text::inverse_document_frequency(100, 1) == doctest::Approx(4.19469).epsilon(1e-5));
  CHECK(text::inverse_document_frequency(100, 90) == doctest::Approx(1e-6));
}

TEST_CASE("postings of a range of rows are those of the table, cut") {
  test::TempDir dir;
  io::Database database(dir / "words.sqlite", io::OpenMode::create);
  database.execute("CREATE VIRTUAL TABLE words USING fts5(content, tokenize = 'porter unicode61')");
  auto insert = database.prepare("INSERT INTO words(rowid, content) VALUES (?, ?)");
  for (int i = 1; i <= 30; ++i) insert.bind(1, i * 10).bind(2, i % 3 == 0 ? "a whale eats whales" : "nothing").run();
  text::PostingsFinder finder(database, "words");
  const std::vector<std::string> terms{"whales", "unheard", "nothing"};
  const auto whole = finder.find(terms);
  REQUIRE(whole.size() == 3);
  CHECK(whole[0].rows.size() == 10);
  for (int again = 0; again < 2; ++again) {
    const auto range = finder.find(terms, 60, 120);
    REQUIRE(range.size() == 3);
    CHECK(range[0].rows == std::vector<std::int64_t>{60, 90, 120});
    CHECK(range[0].counts == std::vector<std::uint32_t>{2, 2, 2});
    CHECK(range[1].rows.empty());
    CHECK(range[2].rows == std::vector<std::int64_t>{70, 80, 100, 110});
  }
}

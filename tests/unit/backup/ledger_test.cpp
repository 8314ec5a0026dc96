#include "reef/backup/ledger.h"

#include <doctest/doctest.h>

#include <fstream>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"

using reef::Errc;
using reef::Error;
using reef::parse_time;
using reef::backup::Ledger;
using reef::backup::read_ledger;
using reef::backup::update_ledger;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  reef::test::TempDir dir;
  reef::tree::Tree tree = reef::tree::Tree::at(dir.path());
  fs::path file = tree.backups() / "tier2.json";

  void write(const std::string& text) const { std::ofstream(file, std::ios::binary) << text; }
  void fill() const {
    update_ledger(tree, 2, [](Ledger& ledger) {
      ledger.destination = "/backup/\xff";
      ledger.id = "0123456789abcdef";
      ledger.newest = {"2026-11-30T041500Z", parse_time("2026-11-30T04:15:00.250Z"), std::chrono::milliseconds(1234),
                       5};
      ledger.verify = {parse_time("2026-11-30T05:00:00Z"), 7, 1};
      ledger.drill = {parse_time("2026-11-30T06:00:00Z"), "2026-11-30T041500Z", std::chrono::minutes(2), 1ULL << 40,
                      true};
    });
  }
};

}  // namespace

TEST_CASE("a ledger that was never written knows nothing, and reading makes nothing") {
  Fixture fixture;
  const Ledger ledger = read_ledger(fixture.tree, 2);
  CHECK(ledger.destination.empty());
  CHECK(ledger.id.empty());
  CHECK_FALSE(ledger.newest);
  CHECK_FALSE(ledger.verify);
  CHECK_FALSE(ledger.drill);
  CHECK_FALSE(fs::exists(fixture.tree.backups()));
}

TEST_CASE("a ledger gives back what was noted, and changes leave the rest") {
  Fixture fixture;
  fixture.fill();
  update_ledger(fixture.tree, 2, [](Ledger& ledger) { ledger.verify.reset(); });
  update_ledger(fixture.tree, 1, [](Ledger& ledger) { ledger.id = "fedcba9876543210"; });
  const Ledger ledger = read_ledger(fixture.tree, 2);
  CHECK(ledger.destination == "/backup/\uFFFD");
  CHECK(ledger.id == "0123456789abcdef");
  REQUIRE(ledger.newest);
  CHECK(ledger.newest->snapshot == "2026-11-30T041500Z");
  CHECK(ledger.newest->taken == parse_time("2026-11-30T04:15:00.250Z"));
  CHECK(ledger.newest->duration == std::chrono::milliseconds(1234));
  CHECK(ledger.newest->bytes == 5);
  CHECK_FALSE(ledger.verify);
  REQUIRE(ledger.drill);
  CHECK(ledger.drill->when == parse_time("2026-11-30T06:00:00Z"));
  CHECK(ledger.drill->duration == std::chrono::minutes(2));
  CHECK(ledger.drill->bytes == 1ULL << 40);
  CHECK(ledger.drill->sound);
  CHECK(read_ledger(fixture.tree, 1).id == "fedcba9876543210");
}

TEST_CASE("members of a ledger that a newer program wrote stay") {
  Fixture fixture;
  fixture.fill();
  const std::string body =
      R"({"format":"reef backup ledger","version":1,"new":[1],"newest":{"snapshot":"a","taken":"2026-11-30","seconds":1,"bytes":2,"more":true})";
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(body.data());
  char sum[17];
  std::snprintf(sum, sizeof sum, "%016llx", static_cast<unsigned long long>(reef::io::xxh3({bytes, body.size()})));
  fixture.write(body + ",\"xxh3\":\"" + sum + "\"}\n");
  update_ledger(fixture.tree, 2, [](Ledger& ledger) { ledger.newest->bytes = 3; });
  const std::string text = reef::io::read_file(fixture.file);
  CHECK(text.find("\"new\":[1]") != std::string::npos);
  CHECK(text.find("\"bytes\":3,\"more\":true") != std::string::npos);
}

TEST_CASE("a flipped bit or a cut in a ledger is noticed, and a newer version refused") {
  Fixture fixture;
  fixture.fill();
  const std::string good = reef::io::read_file(fixture.file);
  for (std::size_t at = 0; at < good.size(); ++at) {
    CAPTURE(at);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    fixture.write(bad);
    try {
      read_ledger(fixture.tree, 2);
      FAIL("read");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
      CHECK(std::string(error.what()).find("tier2.json") != std::string::npos);
    }
    fixture.write(good.substr(0, at));
    CHECK_THROWS_AS(read_ledger(fixture.tree, 2), Error);
  }
}

TEST_CASE("a change of a ledger that throws leaves it") {
  Fixture fixture;
  fixture.fill();
  const std::string good = reef::io::read_file(fixture.file);
  CHECK_THROWS_AS(update_ledger(fixture.tree, 2, [](Ledger&) { throw Error(Errc::failed, "no"); }), Error);
  CHECK(reef::io::read_file(fixture.file) == good);
}

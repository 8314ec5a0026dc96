#include "reef/model/duplicates.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/make_manifest.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBig = 3 << 20;

struct NamedBytes {
  std::string name;
  std::string bytes;
};

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() { fs::create_directories(tree.models()); }

  void add(const std::string& name, const std::vector<NamedBytes>& tensors) const {
    std::string header, data;
    for (const NamedBytes& tensor : tensors) {
      header +=
          fmt::format(R"({}"{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})", header.empty() ? "{" : ",",
                      tensor.name, tensor.bytes.size(), data.size(), data.size() + tensor.bytes.size());
      data += tensor.bytes;
    }
    test::write(dir / name / "config.json", fmt::format(R"({{"model_type":"{}"}})", name));
    test::write(dir / name / "model.safetensors", test::safetensors(header + "}", 0) + data);
    import_model(tree, tree::Config::load(tree), {.source = dir / name}, no_progress());
  }
  DuplicatesReport find(std::uint64_t min_bytes = 1, std::vector<std::string> names = {}) const {
    return find_duplicates(tree, {.names = std::move(names), .min_bytes = min_bytes, .threads = 2}, no_progress());
  }
};

/// "alice/w bob/v"
std::string where(const DuplicateGroup& group) {
  std::string text;
  for (const DuplicateCopy& copy : group.copies)
    text += fmt::format("{}{}/{}", text.empty() ? "" : " ", copy.model, copy.tensor.empty() ? copy.file : copy.tensor);
  return text;
}

}  // namespace

TEST_CASE("equal tensors are found whatever they are called and wherever they lie") {
  const Fixture f;
  const std::string big(kBig, 'x');
  f.add("a", {{"w", big}, {"own", "12345"}});
  f.add("b", {{"before", "1"}, {"v", big}, {"u", big}});
  const auto report = f.find();
  REQUIRE(report.tensor_groups.size() == 1);
  const DuplicateGroup& group = report.tensor_groups[0];
  CHECK(group.sha256 == io::to_hex(io::sha256(big)));
  CHECK(group.bytes == kBig);
  CHECK(group.copies.size() == 3);
  CHECK(group.saved_bytes == 2 * kBig);
  CHECK(report.file_groups.empty());
  CHECK(report.bytes_read == 3 * kBig);
  CHECK(report.saved_bytes() == 2 * kBig);
  CHECK(report.models == 2);
  CHECK(report.tensors == 5);
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["saved_bytes"] == 2 * kBig);
  CHECK(json["tensors"][0]["copies"][0]["persona"].is_null());
  CHECK(to_text(report).find("2 models with 5 tensors of at least 1 B: 0 groups of equal files, 1 group of equal "
                             "tensors; sharing them saves 6.00 MiB") != std::string::npos);
}

TEST_CASE("tensors of one size are told apart, by samples or by all their bytes") {
  const Fixture f;
  std::string first(kBig, 'x'), last(kBig, 'x'), hidden(kBig, 'x');
  first.front() = 'y';
  last.back() = 'y';
  hidden[5000] = 'y';
  f.add("a", {{"plain", std::string(kBig, 'x')}, {"first", first}});
  f.add("b", {{"last", last}, {"hidden", hidden}});
  const auto report = f.find();
  CHECK(report.tensor_groups.empty());
  CHECK(report.bytes_read == 2 * kBig);  // only "hidden" looks like "plain"
}

TEST_CASE("digests of the manifests are taken where they are") {
  const Fixture f;
  const std::string big(kBig, 'x');
  f.add("a", {{"w", big}});
  f.add("b", {{"v", big}});
  make_manifest(f.tree, {.name = "a", .with_tensors = true}, no_progress());
  CHECK(f.find().bytes_read == kBig);
  make_manifest(f.tree, {.name = "b", .with_tensors = true}, no_progress());
  const auto report = f.find();
  CHECK(report.bytes_read == 0);
  REQUIRE(report.tensor_groups.size() == 1);
  CHECK(report.tensor_groups[0].copies.size() == 2);
}

TEST_CASE("what is saved by sharing a file is not counted again for its tensors") {
  const Fixture f;
  const std::string shared(5000, 's'), other(3000, 'o');
  f.add("a", {{"w", shared}, {"own", "1"}});
  test::write(f.dir / "copy/model.safetensors", io::read_file(f.dir / "a/model.safetensors"));
  test::write(f.dir / "copy/config.json", "{}");
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "copy"}, no_progress());
  auto report = f.find();
  REQUIRE(report.file_groups.size() == 1);
  CHECK(where(report.file_groups[0]) == "a/model.safetensors copy/model.safetensors");
  CHECK(report.tensor_groups.empty());
  CHECK(report.saved_bytes() == report.file_groups[0].bytes);
  f.add("c", {{"w", shared}, {"x", other}});
  f.add("d", {{"x", other}});
  report = f.find();
  REQUIRE(report.tensor_groups.size() == 2);
  CHECK(report.tensor_groups[0].copies.size() == 3);
  CHECK(report.tensor_groups[0].saved_bytes == shared.size());
  CHECK(report.tensor_groups[1].saved_bytes == other.size());
  CHECK(f.find(4096).tensor_groups.size() == 1);
  CHECK(f.find(6000).tensor_groups.empty());
}

TEST_CASE("only the models named are looked at, each once") {
  const Fixture f;
  f.add("a", {{"w", "same"}});
  f.add("b", {{"v", "same"}});
  f.add("c", {{"u", "same"}});
  CHECK(f.find(1, {"a", "a"}).tensor_groups.empty());
  CHECK(f.find(1, {"b", "a"}).tensor_groups.at(0).copies.size() == 2);
  CHECK(f.find().tensor_groups.at(0).copies.size() == 3);
  CHECK_THROWS_AS(f.find(1, {"absent"}), Error);
}

TEST_CASE("empty tensors are equal to nothing, and damaged models are left out") {
  const Fixture f;
  f.add("a", {{"w", "same"}, {"none", ""}});
  f.add("b", {{"v", "same"}, {"nothing", ""}});
  CHECK(f.find(0).tensor_groups.size() == 1);
  test::write(f.tree.models("base") / "b/model.safetensors", "cut");
  fs::create_directories(f.tree.models("base") / "bare");
  const auto report = f.find();
  CHECK(report.tensor_groups.empty());
  CHECK(report.models == 1);
  REQUIRE(report.skipped.size() == 2);
  CHECK(report.skipped[0].name == "b");
  CHECK(report.skipped[1].why == "there is no manifest.json");
}

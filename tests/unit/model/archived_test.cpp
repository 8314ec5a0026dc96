#include "reef/model/archived.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/library.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  fs::path record(Kind kind, const std::string& name, const std::string& text) const {
    fs::path folder = tree.archived(kind_folder(kind)) / name;
    Manifest manifest;
    manifest.name = name;
    manifest.kind = kind;
    manifest.files.push_back({"config.json", 2, std::string(64, 'a')});
    test::write(folder / kManifestFile, manifest_text(manifest));
    test::write(folder / kArchivedFile, text);
    return folder;
  }
};

}  // namespace

TEST_CASE("a record says where a model is, also under odd names of folders") {
  const Fixture f;
  f.record(Kind::base, "x", archived_text("/mnt/o\"ld\n", "2026-11-24T08:15:00.000Z"));
  const auto found = find_archived(f.tree, "x");
  REQUIRE(found);
  CHECK(found->fault.empty());
  CHECK(found->place == "/mnt/o\"ld\n");
  CHECK(found->since == "2026-11-24T08:15:00.000Z");
  CHECK(found->manifest.total_bytes() == 2);
  CHECK(find_archived(f.tree, "base/x"));
  CHECK_FALSE(find_archived(f.tree, "adapters/x"));
  CHECK_FALSE(find_archived(f.tree, "y"));
}

TEST_CASE("one that is damaged is listed with its fault") {
  const Fixture f;
  for (const char* text :
       {"", "{}", R"({"schema":"reef.archived/2","path":"/a"})", R"({"schema":"reef.archived/1"})",
        R"({"schema":"reef.archived/1","path":"a"})", R"({"schema":"reef.archived/1","path":"/a"} x)"}) {
    CAPTURE(text);
    f.record(Kind::base, "x", text);
    const auto all = list_archived(f.tree);
    REQUIRE(all.size() == 1);
    CHECK_FALSE(all.front().fault.empty());
  }
  fs::remove(f.record(Kind::base, "x", archived_text("/a", "")) / kManifestFile);
  CHECK(list_archived(f.tree).front().fault == "there is no manifest.json");
}

TEST_CASE("where the model is in the tree its record says nothing") {
  const Fixture f;
  f.record(Kind::base, "x", archived_text("/a", ""));
  f.record(Kind::adapter, "x", archived_text("/b", ""));
  try {
    static_cast<void>(find_archived(f.tree, "x"));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.hint() == "say 'base/x' or 'adapters/x'");
  }
  fs::create_directories(f.tree.models("base") / "x");
  CHECK(find_archived(f.tree, "x")->place == "/b");
  CHECK(list_archived(f.tree).size() == 1);
}

TEST_CASE("who asks for an archived model hears where it is") {
  const Fixture f;
  f.record(Kind::base, "x", archived_text("/mnt/x", ""));
  try {
    static_cast<void>(find_model(f.tree, "x"));
    FAIL("found");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::not_found);
    CHECK(std::string(error.what()) == "x is archived at /mnt/x");
    CHECK(error.hint() == "'reef-model fetch x' brings it back");
  }
}

}  // namespace reef::model

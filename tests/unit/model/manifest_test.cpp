#include "reef/model/manifest.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;

namespace {

const std::string kDigest(64, 'a');

Manifest sample() {
  Manifest manifest;
  manifest.name = "tiny";
  manifest.kind = Kind::adapter;
  manifest.source = "org/\"tiny\"\n@1";
  manifest.licence = "apache-2.0";
  manifest.persona = "alice";
  manifest.created = "2026-11-24T08:15:00.000Z";
  manifest.files = {{"1_Pooling/config.json", 3, kDigest, {}, {}, {}},
                    {"model.safetensors", 4, kDigest, kDigest, kDigest, {{"w\"1", kDigest}, {"w2", kDigest}}}};
  return manifest;
}

std::string with_file(const std::string& file) {
  return R"({"schema":"reef.manifest/1","name":"tiny","kind":"base","files":[)" + file + R"(],"total_bytes":3})";
}

std::string file_entry(const std::string& path) {
  return R"({"path":")" + path + R"(","bytes":3,"sha256":")" + kDigest + "\"}";
}

}  // namespace

TEST_CASE("a manifest reads back as it was written") {
  const Manifest read = parse_manifest(manifest_text(sample()), "manifest.json");
  CHECK(read.name == "tiny");
  CHECK(read.kind == Kind::adapter);
  CHECK(read.source == sample().source);
  CHECK(read.licence == "apache-2.0");
  CHECK(read.persona == "alice");
  CHECK(read.created == sample().created);
  CHECK(read.files == sample().files);
  CHECK(read.total_bytes() == 7);
  CHECK(read.find("model.safetensors") == &read.files[1]);
  CHECK_FALSE(read.find("config.json"));
}

TEST_CASE("what a newer reef may add is skipped") {
  const auto read = parse_manifest(with_file(R"({"chunks":[1,2],)" + file_entry("a").substr(1)), "m");
  CHECK(read.files.size() == 1);
}

TEST_CASE("a manifest that could mislead is refused") {
  struct Refused {
    std::string json;
    const char* message;
  };
  for (const Refused& refused : {
           Refused{with_file(file_entry("../a")), "'../a' is no path inside the model"},
           {with_file(file_entry("/a")), "no path inside the model"},
           {with_file(file_entry("a/../b")), "no path inside the model"},
           {with_file(file_entry("")), "no path inside the model"},
           {with_file(file_entry("a") + "," + file_entry("a")), "'a' is listed twice"},
           {with_file(R"({"path":"a","bytes":3,"sha256":"xyz"})"), "sha256 of 'a' is not 64"},
           {with_file(R"({"path":"a","sha256":")" + kDigest + "\"}"), "bytes of 'a' are missing"},
           {with_file(R"({"path":"a","bytes":9223372036854775807,"sha256":")" + std::string(kDigest) +
                      R"("},{"path":"b","bytes":9223372036854775807,"sha256":")" + std::string(kDigest) + "\"}"),
            "more bytes than a filesystem can hold"},
           {with_file(""), "total_bytes is not the sum"},
           {R"({"schema":"reef.manifest/2","name":"a","kind":"base","files":[],"total_bytes":0})", "the schema is"},
           {R"({"schema":"reef.manifest/1","name":"../a","kind":"base","files":[],"total_bytes":0})",
            "no name of a model"},
           {R"({"schema":"reef.manifest/1","name":"a","kind":"b","files":[],"total_bytes":0})", "no kind of model"},
           {"{", "m: byte 1: the JSON ends"},
       }) {
    CAPTURE(refused.json);
    CHECK_THROWS_WITH_AS(parse_manifest(refused.json, "m"), doctest::Contains(refused.message), Error);
  }
}

TEST_CASE("names of models are folder names without surprises") {
  for (const char* good : {"a", "all-MiniLM-L6-v2", "gemma-3-4b", "7B_q4.0"}) CHECK(is_model_name(good));
  for (const char* bad : {"", ".a", "-a", "a/b", "a b", "..", "é"}) CHECK_FALSE(is_model_name(bad));
  CHECK_FALSE(is_model_name(std::string(129, 'a')));
}

TEST_CASE("kinds and their folders") {
  CHECK(parse_kind("adapter") == Kind::adapter);
  CHECK(kind_folder(Kind::adapter) == "adapters");
  CHECK(kind_folder(Kind::quantized) == "quantized");
  CHECK_THROWS_AS(parse_kind("lora"), Error);
}

TEST_CASE("a folder without a manifest has none") {
  const test::TempDir dir;
  CHECK_FALSE(read_manifest(dir.path()));
  test::write(dir / "manifest.json", manifest_text(sample()));
  CHECK(read_manifest(dir.path())->name == "tiny");
}

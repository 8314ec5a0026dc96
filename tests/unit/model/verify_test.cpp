#include "reef/model/verify.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "reef/model/chunks.h"
#include "reef/model/import.h"
#include "reef/model/make_manifest.h"
#include "reef/model/signature.h"
#include "support/temp_dir.h"
#include "unit/model/interrupting.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFirst = 3 << 20;   ///< bytes of tensor "first"
constexpr std::size_t kSecond = 5 << 20;  ///< and of "second", behind it
constexpr std::string_view kTwoTensors =
    R"({"first":{"dtype":"U8","shape":[3145728],"data_offsets":[0,3145728]},)"
    R"("second":{"dtype":"U8","shape":[5242880],"data_offsets":[3145728,8388608]}})";
constexpr std::size_t kData = 8 + kTwoTensors.size();  ///< where it begins in the file

/// A model of five chunks.
struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");
  fs::path folder = tree.models("base") / "big";
  fs::path weights = folder / "model.safetensors";

  Fixture() {
    fs::create_directories(tree.models());
    test::write(dir / "big/config.json", R"({"model_type":"bert"})");
    test::write(dir / "big/model.safetensors", test::safetensors(kTwoTensors, kFirst + kSecond));
    import_model(tree, tree::Config::load(tree), {.source = dir / "big"}, no_progress());
  }
  VerifyReport verify(const VerifyOptions& options = {}) const { return verify_models(tree, options, no_progress()); }
  std::vector<VerifyFault> faults(const VerifyOptions& options = {}) const {
    return verify(options).models.at(0).faults;
  }

  void flip(std::size_t byte) const {
    std::string text = io::read_file(weights);
    text[byte] ^= 1;
    test::write(weights, text);
  }
};

bool interrupted(const Fixture& f, std::uint64_t after) {
  test::Interrupting progress(after);
  Errc code = Errc::failed;
  try {
    verify_models(f.tree, {}, progress);
  } catch (const Error& e) {
    code = e.code();
  }
  pending_signal = 0;
  return code == Errc::interrupted;
}

/// A key pair as OpenSSL's command writes it; false where there is none.
bool make_keys(const fs::path& folder, const std::string& name) {
  const std::string key = (folder / (name + ".pem")).string(), open_half = (folder / (name + ".pub.pem")).string();
  try {
    return io::run_process({"openssl", "genpkey", "-algorithm", "ed25519", "-out", key}, {}, {}).status == 0 &&
           io::run_process({"openssl", "pkey", "-in", key, "-pubout", "-out", open_half}, {}, {}).status == 0;
  } catch (const Error&) {
    MESSAGE("skipped: no openssl here");
    return false;
  }
}

}  // namespace

TEST_CASE("a fault in a large file names chunk, bytes and tensors") {
  const Fixture f;
  CHECK(f.faults().empty());
  const auto only_fault = [&](std::size_t byte) {
    f.flip(byte);
    const auto faults = f.faults();
    f.flip(byte);
    REQUIRE(faults.size() == 1);
    REQUIRE(faults[0].chunk);
    CHECK(faults[0].what.find("sha256 is ") == 0);
    return faults[0];
  };
  const VerifyFault both = only_fault(kData + kFirst);  // the chunk holds the end of "first" as well
  CHECK(both.chunk->number == 1);
  CHECK(both.chunk->begin == kChunkBytes);
  CHECK(both.chunk->end == 2 * kChunkBytes);
  CHECK(both.chunk->tensors == std::vector<std::string>{"first", "second"});
  CHECK(both.text().find("model.safetensors, chunk 1 (bytes 2097152-4194303, first, second): sha256 is ") == 0);
  const VerifyFault last = only_fault(kData + kFirst + kSecond - 1);
  CHECK(last.chunk->number == 4);
  CHECK(last.chunk->end == kData + kFirst + kSecond);
  CHECK(last.chunk->tensors == std::vector<std::string>{"second"});
  CHECK(f.faults().empty());
}

TEST_CASE("every faulty chunk is reported, in order, with any number of threads") {
  const Fixture f;
  for (const std::size_t byte : {std::size_t{4}, 2 * kChunkBytes, 3 * kChunkBytes + 7}) f.flip(byte);
  for (const unsigned threads : {1U, 4U}) {
    std::vector<std::uint64_t> chunks;
    for (const VerifyFault& fault : f.faults({.threads = threads}))
      if (fault.chunk) chunks.push_back(fault.chunk->number);
    CHECK(chunks == std::vector<std::uint64_t>{0, 2, 3});
  }
}

TEST_CASE("a tensor alone, or a sample, leaves the other chunks alone") {
  const Fixture f;
  f.flip(kData + kFirst + kSecond - 1);  // "second" in the last chunk
  CHECK(f.faults({.tensors = {"first"}}).empty());
  CHECK(f.verify({.tensors = {"first"}}).is_partial);
  CHECK(f.verify({.tensors = {"first"}}).bytes() == 2 * kChunkBytes);
  CHECK(f.faults({.tensors = {"second"}}).size() == 1);
  CHECK_THROWS_WITH_AS(f.verify({.tensors = {"first", "secnod"}}), doctest::Contains("did you mean 'second'?"), Error);
  // Of five chunks one, and the one chunk of config.json.
  CHECK(f.verify({.sample = 0.2}).bytes() <= kChunkBytes + 100);
  bool hit = false;
  bool missed = false;
  for (int i = 0; i < 200 && !(hit && missed); ++i) (f.faults({.sample = 0.2}).empty() ? missed : hit) = true;
  CHECK(hit);
  CHECK(missed);
}

TEST_CASE("a run that was interrupted goes on where it stopped") {
  const Fixture f;
  REQUIRE(interrupted(f, 1));
  const VerifyReport rest = f.verify();
  CHECK(rest.models[0].bytes_earlier > 0);
  CHECK(rest.models[0].bytes + rest.models[0].bytes_earlier == read_manifest(f.folder)->total_bytes());
  CHECK(rest.faults() == 0);
  CHECK(f.verify().models[0].bytes_earlier == 0);  // that one is done

  REQUIRE(interrupted(f, 1));
  CHECK(f.verify({.restart = true}).models[0].bytes_earlier == 0);
}

TEST_CASE("what was sound is read again once the file was written to, or the manifest is another") {
  const Fixture f;
  REQUIRE(interrupted(f, 1));
  for (std::size_t chunk = 0; chunk < 5; ++chunk) f.flip(chunk * kChunkBytes + 10);
  CHECK(f.faults().size() >= 5);
  for (std::size_t chunk = 0; chunk < 5; ++chunk) f.flip(chunk * kChunkBytes + 10);

  REQUIRE(interrupted(f, 1));
  make_manifest(f.tree, {.name = "big", .with_tensors = true}, no_progress());
  CHECK(f.verify().models[0].bytes_earlier == 0);

  REQUIRE(interrupted(f, 1));
  test::write(f.tree.cache() / "verify/base-big.json", "{\"schema\": ");
  CHECK(f.verify().models[0].bytes_earlier == 0);
}

TEST_CASE("a file whose chunks have no digests is compared as a whole") {
  const Fixture f;
  Manifest manifest = *read_manifest(f.folder);
  for (ManifestFile& file : manifest.files) file.chunks_sha256.clear();
  test::write(f.folder / kManifestFile, manifest_text(manifest));
  CHECK(f.faults().empty());
  // A part of another file, and this one is left alone; it is not read, so nothing can be said of it.
  CHECK(f.faults({.sample = 0.5}).empty());
  CHECK(f.faults({.tensors = {"first"}}).empty());
  test::write(f.dir / "other/config.json", "{}");
  test::write(f.dir / "other/model.safetensors", test::safetensors(test::kOneTensor, 8));
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "other"}, no_progress());
  CHECK(f.verify({.tensors = {"w"}}).faults() == 0);
  f.flip(kData);
  const auto faults = f.faults();
  REQUIRE(faults.size() == 1);
  CHECK(!faults[0].chunk);
  CHECK(faults[0].what.find("manifest says " + manifest.find("model.safetensors")->sha256) != std::string::npos);
}

TEST_CASE("chunk digests that are missing, cut or others are a fault, and the files are compared nevertheless") {
  const Fixture f;
  const std::string table = io::read_file(f.folder / kChunksFile);
  const auto what_is_said = [&] {
    const auto faults = f.faults();
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].file == kChunksFile);
    CHECK(f.verify().models[0].bytes == read_manifest(f.folder)->total_bytes());
    return faults[0].what;
  };
  std::string other = table;
  other.back() = static_cast<char>(other.back() ^ 1);
  test::write(f.folder / kChunksFile, other);
  CHECK(what_is_said().find("has other digests of model.safetensors") != std::string::npos);
  test::write(f.folder / kChunksFile, table.substr(0, table.size() - 1));
  CHECK(what_is_said().find("bytes, the manifest asks for") != std::string::npos);
  fs::remove(f.folder / kChunksFile);
  CHECK(what_is_said().find("is missing") != std::string::npos);
  CHECK(make_manifest(f.tree, {.name = "big"}, no_progress()).has_changed);
  CHECK(io::read_file(f.folder / kChunksFile) == table);
  CHECK(f.faults().empty());
}

TEST_CASE("a manifest is written for a folder that has none, and a second run changes nothing") {
  const Fixture f;
  const std::string before = io::read_file(f.folder / kManifestFile), table = io::read_file(f.folder / kChunksFile);
  fs::remove(f.folder / kManifestFile);
  fs::remove(f.folder / kChunksFile);
  const MadeManifest made = make_manifest(f.tree, {.name = "big"}, no_progress());
  CHECK(made.has_changed);
  CHECK(made.manifest.name == "big");
  CHECK(made.manifest.find("model.safetensors")->sha256 ==
        parse_manifest(before, "before").find("model.safetensors")->sha256);
  CHECK(io::read_file(f.folder / kChunksFile) == table);
  CHECK_FALSE(make_manifest(f.tree, {.name = "big"}, no_progress()).has_changed);
  CHECK(f.faults().empty());

  const MadeManifest fuller = make_manifest(f.tree, {.name = "big", .with_tensors = true}, no_progress());
  const auto& tensors = fuller.manifest.find("model.safetensors")->tensors;
  REQUIRE(tensors.size() == 2);
  const std::string data = io::read_file(f.weights).substr(kData);
  CHECK(tensors[0].sha256 == io::to_hex(io::sha256(std::string_view(data).substr(0, kFirst))));
  CHECK(tensors[1].sha256 == io::to_hex(io::sha256(std::string_view(data).substr(kFirst))));
  CHECK_FALSE(make_manifest(f.tree, {.name = "big"}, no_progress()).has_changed);  // and they stay
}

TEST_CASE("a manifest is not written over one that says something else, but with force") {
  const Fixture f;
  f.flip(kData);
  CHECK_THROWS_WITH_AS(make_manifest(f.tree, {.name = "big"}, no_progress()), doctest::Contains("manifest says"),
                       Error);
  CHECK(f.faults().size() == 1);
  CHECK(make_manifest(f.tree, {.name = "big", .force = true}, no_progress()).has_changed);
  CHECK(f.faults().empty());
  test::write(f.folder / "more.txt", "x");
  CHECK_THROWS_WITH_AS(make_manifest(f.tree, {.name = "big"}, no_progress()),
                       doctest::Contains("is not in the manifest"), Error);
  test::write(f.folder / kManifestFile, "{");
  CHECK_THROWS_AS(make_manifest(f.tree, {.name = "big"}, no_progress()), Error);
  CHECK(make_manifest(f.tree, {.name = "big", .force = true}, no_progress()).has_changed);
  CHECK(f.faults().empty());
}

TEST_CASE("a signature is OpenSSL's, and verify asks for the right one") {
  const Fixture f;
  if (!make_keys(f.dir.path(), "ours") || !make_keys(f.dir.path(), "other")) return;
  const fs::path key = f.dir / "ours.pem", open_half = f.dir / "ours.pub.pem";
  CHECK(f.faults({.key = open_half})[0].text() == "manifest.json.sig: is missing");
  CHECK(sign_manifest(f.tree, "big", key, {}).has_changed);
  CHECK_FALSE(sign_manifest(f.tree, "big", key, {}).has_changed);
  CHECK(f.faults({.key = open_half}).empty());
  CHECK(f.faults({.key = key}).empty());
  CHECK(f.faults().empty());
  CHECK(f.faults({.key = f.dir / "other.pub.pem"}).size() == 1);
  CHECK(io::run_process({"openssl", "pkeyutl", "-verify", "-pubin", "-inkey", open_half.string(), "-rawin", "-in",
                         (f.folder / kManifestFile).string(), "-sigfile", (f.folder / kSignatureFile).string()},
                        {}, {})
            .status == 0);

  CHECK_THROWS_WITH_AS(sign_manifest(f.tree, "big", open_half, {}), doctest::Contains("cannot sign"), Error);
  CHECK_THROWS_WITH_AS(f.verify({.key = f.weights}), doctest::Contains("holds no key"), Error);
  CHECK(io::run_process({"openssl", "genpkey", "-algorithm", "x25519", "-out", (f.dir / "x.pem").string()}, {}, {})
            .status == 0);
  CHECK_THROWS_WITH_AS(sign_manifest(f.tree, "big", f.dir / "x.pem", {}), doctest::Contains("not Ed25519"), Error);
  CHECK(io::run_process({"openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out",
                         (f.dir / "locked.pem").string()},
                        {}, {})
            .status == 0);
  CHECK_THROWS_WITH_AS(sign_manifest(f.tree, "big", f.dir / "locked.pem", {}), doctest::Contains("passphrase"), Error);

  // Another manifest is not what was signed.
  CHECK(make_manifest(f.tree, {.name = "big", .with_tensors = true}, no_progress()).has_changed);
  CHECK_FALSE(fs::exists(f.folder / kSignatureFile));
}

TEST_CASE("the report tells a script where a fault is") {
  const Fixture f;
  f.flip(kData);
  const auto json = nlohmann::json::parse(to_json(f.verify()));
  CHECK(json["partial"] == false);
  CHECK(json["bytes"] == read_manifest(f.folder)->total_bytes());
  const auto& fault = json["models"][0]["faults"][0];
  CHECK(fault["file"] == "model.safetensors");
  CHECK(fault["chunk"] == 0);
  CHECK(fault["begin"] == 0);
  CHECK(fault["end"] == kChunkBytes);
  CHECK(fault["tensors"] == nlohmann::json{"first"});
}

#include "reef/model/repack.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/library.h"
#include "reef/model/load.h"
#include "reef/model/make_manifest.h"
#include "reef/model/safetensors.h"
#include "reef/model/verify.h"
#include "support/temp_dir.h"
#include "unit/model/gguf_sample.h"
#include "unit/model/interrupting.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kWide = 5 << 20;
/// Nothing in it is aligned but for "flag" and by luck.
const std::string kHeader = fmt::format(R"({{"flag":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},)"
                                        R"("__metadata__":{{"format":"pt","quote\"":"\u00e9\n"}},)"
                                        R"("half":{{"dtype":"F16","shape":[3],"data_offsets":[1,7]}},)"
                                        R"("none":{{"dtype":"F32","shape":[0,7],"data_offsets":[7,7]}},)"
                                        R"("one \u0001":{{"dtype":"F64","shape":[],"data_offsets":[7,15]}},)"
                                        R"("four":{{"dtype":"F4","shape":[3,4],"data_offsets":[15,21]}},)"
                                        R"("wide":{{"dtype":"F32","shape":[1310720],"data_offsets":[21,{0}]}},)"
                                        R"("row":{{"dtype":"BF16","shape":[2,16],"data_offsets":[{0},{1}]}}}})",
                                        21 + kWide, 21 + kWide + 64);

/// The bytes of every tensor, by name.
std::map<std::string, std::string> tensors_of(const fs::path& path) {
  const SafetensorsFile file(path);
  std::map<std::string, std::string> tensors;
  for (const Tensor& tensor : file.header().tensors) {
    const auto bytes = file.bytes(tensor);
    tensors[tensor.name] = fmt::format("{} {} ", dtype_name(tensor.dtype), fmt::join(tensor.shape, "x")) +
                           std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return tensors;
}

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");
  fs::path folder = tree.models("base") / "m";
  fs::path weights = folder / "model.safetensors";

  Fixture() {
    fs::create_directories(tree.models());
    fs::create_directories(tree.cache());
    test::write(dir / "m/README.md", "---\nlicense: mit\n---\n");
    test::write(dir / "m/config.json", R"({"model_type":"llama"})");
    test::write(dir / "m/model.safetensors", test::safetensors(kHeader, 21 + kWide + 64));
    import();
  }
  void import() const { import_model(tree, tree::Config::load(tree), {.source = dir / "m"}, no_progress()); }
  RepackResult repack(RepackOptions options = {}, Progress& progress = no_progress()) const {
    if (options.name.empty()) options.name = "m";
    options.threads = 2;
    return repack_model(tree, options, progress);
  }
  bool is_sound() const { return verify_models(tree, {}, no_progress()).faults() == 0; }
  std::uint64_t unaligned() const { return describe_model(tree, "m", false).unaligned; }
  std::vector<std::string> hidden() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(tree.models())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') && name != ".lock") found.push_back(name);
    }
    return found;
  }
};

/// Does something when a part of the work begins.
class Meddling : public Progress {
 public:
  Meddling(std::string_view part, std::function<void()> act) : part_(part), act_(std::move(act)) {}
  void begin(std::string_view what, std::uint64_t, ProgressUnit) override {
    if (what == part_) act_();
  }
  void advance(std::uint64_t) override {}
  void end() override {}

 private:
  std::string_view part_;
  std::function<void()> act_;
};

std::string replaced(std::string text, std::string_view old, std::string_view now) {
  const std::size_t at = text.find(old);
  REQUIRE(at != std::string::npos);
  return text.replace(at, old.size(), now);
}

std::string refusal(const Fixture& f, Errc code, const RepackOptions& options = {},
                    Progress& progress = no_progress()) {
  const std::string before = io::read_file(f.weights), manifest = io::read_file(f.folder / "manifest.json");
  std::string message = "no error";
  try {
    f.repack(options, progress);
  } catch (const Error& e) {
    CHECK(e.code() == code);
    message = e.what();
  }
  CHECK((io::read_file(f.weights) == before));
  CHECK(io::read_file(f.folder / "manifest.json") == manifest);
  CHECK(f.hidden().empty());
  return message;
}

}  // namespace

TEST_CASE("every tensor is aligned, and bytes, metadata and the rest of the manifest stay") {
  const Fixture f;
  const auto before = tensors_of(f.weights);
  const SafetensorsHeader old = SafetensorsFile(f.weights).header();
  const Manifest manifest = find_model(f.tree, "m").manifest;
  CHECK(f.unaligned() > 0);
  const RepackResult done = f.repack();
  REQUIRE(done.files.size() == 1);
  CHECK(done.files[0].is_reordered);
  CHECK(done.files[0].bytes == fs::file_size(f.weights));
  CHECK(f.unaligned() == 0);
  CHECK((tensors_of(f.weights) == before));
  const SafetensorsHeader header = SafetensorsFile(f.weights).header();
  CHECK(header.metadata == old.metadata);
  CHECK(header.data_offset % 64 == 0);
  CHECK((header.data_offset + header.find("wide")->begin) % 64 == 0);
  CHECK((header.data_offset + header.find("row")->begin) % 64 == 0);
  CHECK(f.is_sound());
  const Manifest after = find_model(f.tree, "m").manifest;
  CHECK(after.source == manifest.source);
  CHECK(after.licence == "mit");
  CHECK(after.created == manifest.created);
  CHECK(after.find("config.json")->sha256 == manifest.find("config.json")->sha256);
  CHECK(after.find("model.safetensors")->tensors.empty());
  CHECK(f.hidden().empty());

  const std::string text = io::read_file(f.folder / "manifest.json");
  const RepackResult again = f.repack();
  CHECK(again.files.empty());
  CHECK(to_text(again) == "already so; m is aligned to 64 B\n");
  CHECK(nlohmann::json::parse(to_json(again))["changed"] == false);
  CHECK(io::read_file(f.folder / "manifest.json") == text);
}

TEST_CASE("where the order serves, it is kept, and the header alone is longer") {
  const Fixture f;
  const std::string json = R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
  test::write(f.dir / "m/model.safetensors", test::safetensors(json, 11));
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "m", .force = true}, no_progress());
  const RepackResult plan = f.repack({.dry_run = true});
  REQUIRE(plan.files.size() == 1);
  CHECK_FALSE(plan.files[0].is_reordered);
  CHECK(to_text(plan).find("nothing done (dry run)") != std::string::npos);
  CHECK(io::read_file(f.weights) == test::safetensors(json, 11));
  f.repack({.alignment = 4096});
  const SafetensorsHeader header = SafetensorsFile(f.weights).header();
  CHECK(header.data_offset == 4096);
  CHECK(header.tensors[0].name == "b");
  CHECK(f.repack({.alignment = 64}).files.empty());
  CHECK(f.is_sound());
}

TEST_CASE("shards are written anew where they must be, and the index stays right") {
  const Fixture f;
  const std::string bad = R"({"flag":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                          R"("x":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  std::string good = R"({"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  good.resize(56, ' ');
  fs::remove(f.dir / "m/model.safetensors");
  test::write(f.dir / "m/model-1.safetensors", test::safetensors(bad, 9));
  test::write(f.dir / "m/model-2.safetensors", test::safetensors(good, 8));
  test::write(f.dir / "m/model.safetensors.index.json",
              R"({"metadata":{"total_size":17},"weight_map":{"flag":"model-1.safetensors","x":"model-1.safetensors",)"
              R"("y":"model-2.safetensors"}})");
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "m", .force = true}, no_progress());
  make_manifest(f.tree, {.name = "m", .with_tensors = true}, no_progress());
  const Manifest before = find_model(f.tree, "m").manifest;
  const RepackResult done = f.repack();
  REQUIRE(done.files.size() == 1);
  CHECK(done.files[0].path == "model-1.safetensors");
  CHECK(f.unaligned() == 0);
  CHECK(f.is_sound());
  const Manifest after = find_model(f.tree, "m").manifest;
  CHECK(after.find("model-2.safetensors")->tensors == before.find("model-2.safetensors")->tensors);
  std::map<std::string, std::string> was, is;
  for (const TensorDigest& tensor : before.find("model-1.safetensors")->tensors) was[tensor.name] = tensor.sha256;
  for (const TensorDigest& tensor : after.find("model-1.safetensors")->tensors) is[tensor.name] = tensor.sha256;
  CHECK(was.size() == 2);
  CHECK(was == is);
}

TEST_CASE("a model with folders in folders keeps them") {
  const Fixture f;
  const fs::path inner = f.tree.models("base") / "deep/a/b/model.safetensors";
  test::write(inner, io::read_file(f.weights));
  test::write(f.tree.models("base") / "deep/config.json", "{}");
  make_manifest(f.tree, {.name = "deep"}, no_progress());
  CHECK(f.repack({.name = "deep"}).files.size() == 1);
  CHECK((tensors_of(inner) == tensors_of(f.weights)));
  CHECK(f.is_sound());
}

TEST_CASE("damage is never packed under new digests, whether chunks have digests or the file alone") {
  const Fixture f;
  std::string damaged = io::read_file(f.weights);
  damaged[(3 << 20) + 5] ^= 1;
  test::write(f.weights, damaged);
  CHECK(refusal(f, Errc::corrupt).find("m: model.safetensors, chunk 1 (bytes 2097152-4194303, wide): sha256 is ") == 0);
  Manifest manifest = find_model(f.tree, "m").manifest;
  for (ManifestFile& file : manifest.files) file.chunks_sha256.clear();
  test::write(f.folder / "manifest.json", manifest_text(manifest));
  CHECK(refusal(f, Errc::corrupt).find("m: model.safetensors: sha256 is ") == 0);
  damaged[(3 << 20) + 5] ^= 1;
  test::write(f.weights, damaged);
  test::write(f.folder / "config.json", R"({"model_type":"lhama"})");
  CHECK(refusal(f, Errc::corrupt).find("m: config.json: sha256 is ") == 0);
  test::write(f.folder / "config.json", R"({"model_type":"llama"})");
  f.repack();  // a model without digests of chunks
  CHECK(f.is_sound());
  CHECK_FALSE(find_model(f.tree, "m").manifest.find("model.safetensors")->chunks_sha256.empty());
}

TEST_CASE("a header that is not the one that was verified, or not the one that was meant, is never published") {
  const Fixture f;
  const std::string good = io::read_file(f.weights);
  const std::string_view type = R"("wide":{"dtype":"F32")", other = R"("wide":{"dtype":"I32")";
  // Wrong when the plan is made, right when the bytes are compared with their digests.
  test::write(f.weights, replaced(good, type, other));
  Meddling mended("repacking", [&] { test::write(f.weights, good); });
  CHECK_THROWS_WITH_AS(f.repack({}, mended), "m: model.safetensors: its header changed while it was read", Error);
  CHECK((io::read_file(f.weights) == good));
  // Right when it was written, wrong when it is read again.
  Meddling spoilt("checking", [&] {
    const std::vector<std::string> staged = f.hidden();
    REQUIRE(staged.size() == 1);
    const fs::path written = f.folder.parent_path() / staged[0] / "model.safetensors";
    test::write(written, replaced(io::read_file(written), type, other));
  });
  CHECK(refusal(f, Errc::failed, {}, spoilt) ==
        "m: model.safetensors: the header reads back with other bytes than were written");
  CHECK(f.is_sound());
}

TEST_CASE("what cannot be repacked is said, and nothing changes") {
  const Fixture f;
  for (const std::uint64_t alignment : {0, 1, 4, 48, 4 << 20})
    CHECK(refusal(f, Errc::usage, {.alignment = alignment}).find("no power of two from 8 to 2 MiB") !=
          std::string::npos);
  CHECK(refusal(f, Errc::not_found, {.name = "n"}).find("there is no model 'n'") == 0);
  test::write(f.folder / "notes.txt", "mine");
  CHECK(refusal(f, Errc::usage).find("notes.txt is not in the manifest") != std::string::npos);
  fs::remove(f.folder / "notes.txt");
  test::write(f.folder / "README.md", "x");
  CHECK(refusal(f, Errc::corrupt) == "m: README.md: has 1 bytes, manifest says 21");
  fs::remove(f.folder / "README.md");
  CHECK(refusal(f, Errc::corrupt) == "m: README.md: is missing");
  const io::LockFile held(f.tree.models() / ".lock");
  CHECK(refusal(f, Errc::locked).find("is locked by") != std::string::npos);
}

TEST_CASE("an interrupt leaves the model as it was, and what a killed run left goes") {
  const Fixture f;
  const std::string before = io::read_file(f.weights);
  test::Interrupting progress(3 << 20);
  CHECK_THROWS_AS(repack_model(f.tree, {.name = "m"}, progress), Error);
  pending_signal = 0;
  CHECK((io::read_file(f.weights) == before));
  CHECK(f.hidden().empty());
  test::write(io::temporary_name(f.folder) / "model.safetensors", "half");
  f.repack();
  CHECK(f.hidden().empty());
  CHECK(f.is_sound());
}

TEST_CASE("a model that a killed run had moved aside, where folders cannot be exchanged, comes back") {
  const Fixture f;
  const fs::path aside = f.folder.parent_path() / ".m.replaced";
  const std::string weights = io::read_file(f.weights);
  fs::rename(f.folder, aside);
  test::write(io::temporary_name(f.folder) / "model.safetensors", "new");
  f.import();
  CHECK(f.hidden().empty());
  CHECK((io::read_file(f.weights) == weights));
  fs::create_directory(aside);  // killed one call later
  f.repack();
  CHECK(f.hidden().empty());
  fs::rename(f.folder, aside);
  test::write(f.tree.models("base") / "other/config.json", "{}");
  make_manifest(f.tree, {.name = "other"}, no_progress());
  f.repack({.name = "other"});
  CHECK(f.unaligned() == 0);
  CHECK(f.is_sound());
}

TEST_CASE("a model that makes vectors is repacked by force only") {
  const Fixture f;
  test::write(f.dir / "m/config.json", R"({"model_type":"bert"})");
  test::write(f.dir / "m/vocab.txt", "a\n");
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "m", .force = true}, no_progress());
  CHECK(refusal(f, Errc::usage).find("m makes vectors") == 0);
  CHECK(f.repack({.force = true}).files.size() == 1);
}

TEST_CASE("GGUF files and models without weights are left alone") {
  const Fixture f;
  test::write(f.dir / "g.gguf", test::sound_file());
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "g.gguf"}, no_progress());
  const RepackResult result = f.repack({.name = "g"});
  CHECK(result.files.empty());
  CHECK(to_text(result) == "already so; g is in GGUF files, whose tensors are aligned by their format\n");
  test::write(f.tree.models("base") / "none/config.json", "{}");
  make_manifest(f.tree, {.name = "none"}, no_progress());
  CHECK(to_text(f.repack({.name = "none"})) == "already so; none has no safetensors files\n");
}

TEST_CASE("a copy in the model cache under the old digest does no harm") {
  const Fixture f;
  const auto config = tree::Config::parse("system", "cache:\n  model:\n    cap_bytes: 64MiB\n", "system.yaml");
  const auto load = [&] { return load_model(f.tree, config, {.name = "m", .threads = 2}, no_progress()); };
  const LoadResult before = load();
  test::write(f.folder / "manifest.json.sig", "x");
  CHECK(f.repack().removes_signature);
  CHECK_FALSE(fs::exists(f.folder / "manifest.json.sig"));
  const LoadResult after = load();
  CHECK(after.bytes_read() == fs::file_size(f.weights));
  CHECK((io::read_file(after.folder / "model.safetensors") == io::read_file(f.weights)));
  CHECK(fs::exists(before.files[0].place));
  CHECK(f.is_sound());
}

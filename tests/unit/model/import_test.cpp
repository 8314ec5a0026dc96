#include "reef/model/import.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/library.h"
#include "reef/model/verify.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

/// A tree with one persona, and a source beside it.
struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");
  fs::path source = dir / "tiny";

  Fixture() {
    fs::create_directories(tree.models());
    test::write(tree.config("personas.yaml"), "personas:\n  alice:\n    name: Alice\n");
    test::write_model(source);
  }
  ImportResult import(ImportOptions options = {}) const {
    if (options.source.empty()) options.source = source;
    return import_model(tree, tree::Config::load(tree), options, no_progress());
  }
  /// Hidden entries, but for the lock: what a run left behind.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(tree.models())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') && name != ".lock") found.push_back(name);
    }
    return found;
  }
};

bool is_sound(const tree::Tree& tree) { return verify_models(tree, {}, no_progress()).faults() == 0; }

}  // namespace

TEST_CASE("an imported model has its files, a manifest, and nothing else") {
  const Fixture f;
  test::write(f.source / "README.md", "---\ntags:\n- x\nlicense: apache-2.0\n---\n# Tiny\n");
  test::write(f.source / "1_Pooling/config.json", R"({"pooling_mode_mean_tokens":true})");
  test::write(f.source / "modeling_tiny.py", "import os");
  test::write(f.source / "pytorch_model.bin", "pickle");
  test::write(f.source / "onnx/model.onnx", "x");
  const auto result = f.import();
  CHECK(result.action == ImportAction::create);
  CHECK(result.folder == f.tree.models("base") / "tiny");
  CHECK(result.manifest.licence == "apache-2.0");
  const auto installed = find_model(f.tree, "tiny");
  std::vector<std::string> paths;
  for (const auto& file : installed.manifest.files) paths.push_back(file.path);
  CHECK(paths == std::vector<std::string>{"1_Pooling/config.json", "README.md", "config.json", "model.safetensors"});
  CHECK_FALSE(fs::exists(result.folder / "modeling_tiny.py"));
  CHECK(is_sound(f.tree));
  CHECK(f.leftovers().empty());
}

TEST_CASE("importing the same again changes nothing") {
  const Fixture f;
  const auto first = f.import();
  const auto second = f.import();
  CHECK(second.action == ImportAction::none);
  CHECK(second.manifest.created == first.manifest.created);
}

TEST_CASE("importing again repairs what is damaged") {
  const Fixture f;
  f.import();
  test::write(f.tree.models("base") / "tiny/config.json", "x");
  CHECK_FALSE(is_sound(f.tree));
  CHECK(f.import().action == ImportAction::repair);
  CHECK(is_sound(f.tree));
  CHECK(f.leftovers().empty());
}

TEST_CASE("another model of the same name needs --force") {
  const Fixture f;
  f.import();
  test::write(f.source / "vocab.txt", "a\n");
  CHECK_THROWS_WITH_AS(f.import(), doctest::Contains("holds another model"), Error);
  CHECK(f.import({.name = "other"}).action == ImportAction::create);
  CHECK(f.import({.force = true}).action == ImportAction::replace);
  CHECK(fs::exists(f.tree.models("base") / "tiny/vocab.txt"));
  CHECK(is_sound(f.tree));
  CHECK(f.leftovers().empty());
}

TEST_CASE("a folder that reef did not import is replaced by force only") {
  const Fixture f;
  test::write(f.tree.models("base") / "tiny/notes.txt", "mine");
  CHECK_THROWS_WITH_AS(f.import(), doctest::Contains("has no usable manifest"), Error);
  CHECK(f.import({.force = true}).action == ImportAction::replace);
  CHECK_FALSE(fs::exists(f.tree.models("base") / "tiny/notes.txt"));
}

TEST_CASE("a dry run says what would be done and does nothing") {
  const Fixture f;
  const auto plan = f.import({.dry_run = true});
  CHECK(plan.action == ImportAction::create);
  CHECK(plan.manifest.files.size() == 2);
  CHECK_FALSE(fs::exists(f.tree.models("base")));
}

TEST_CASE("the kind follows from the model's files") {
  const Fixture f;
  test::write(f.source / "config.json", R"({"quantization_config":{"quant_method":"gptq","bits":4}})");
  CHECK(f.import().folder == f.tree.models("quantized") / "tiny");
  fs::remove(f.source / "config.json");
  test::write(f.source / "adapter_config.json", "{}");
  const auto adapter = f.import({.persona = "alice"});
  CHECK(adapter.folder == f.tree.models("adapters") / "tiny");
  CHECK(find_model(f.tree, "adapters/tiny").manifest.persona == "alice");
  CHECK_THROWS_WITH_AS(find_model(f.tree, "tiny"), doctest::Contains("names 2 models"), Error);
  CHECK(describe_model(f.tree, "quantized/tiny", false).quantization == "gptq, 4 bits");
}

TEST_CASE("a persona must exist, and is for adapters") {
  const Fixture f;
  CHECK_THROWS_AS(f.import({.persona = "bob"}), Error);
  CHECK_THROWS_WITH_AS(f.import({.persona = "alice"}), doctest::Contains("--persona is for adapters"), Error);
}

TEST_CASE("a Hugging Face cache folder is read through its links") {
  const Fixture f;
  const fs::path cache = f.dir / "models--org--small";
  test::write(cache / "blobs/aa", R"({"model_type":"bert"})");
  test::write(cache / "blobs/bb", test::safetensors(test::kOneTensor, 8));
  const fs::path snapshot = cache / "snapshots/0123abc";
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/aa", snapshot / "config.json");
  fs::create_symlink("../../blobs/bb", snapshot / "model.safetensors");
  const auto result = f.import({.source = cache});
  CHECK(result.folder == f.tree.models("base") / "small");
  CHECK(result.manifest.source == "org/small@0123abc");
  CHECK(fs::is_regular_file(fs::symlink_status(result.folder / "model.safetensors")));
  CHECK(f.import({.source = snapshot}).action == ImportAction::none);

  test::write(cache / "snapshots/9999/config.json", "{}");
  CHECK_THROWS_WITH_AS(f.import({.source = cache}), doctest::Contains("holds 2 snapshots"), Error);
  test::write(cache / "refs/main", "0123abc\n");
  CHECK(f.import({.source = cache}).action == ImportAction::none);
}

TEST_CASE("what is no model is refused and leaves nothing") {
  const Fixture f;
  const auto refused = [&](const fs::path& source, const char* message) {
    CAPTURE(message);
    CHECK_THROWS_WITH_AS(f.import({.source = source}), doctest::Contains(message), Error);
    CHECK(f.leftovers().empty());
  };
  refused(f.dir / "absent", "no such file or folder");
  test::write(f.dir / "empty/notes.txt", "x");
  refused(f.dir / "empty", "holds no model");
  test::write(f.dir / "m.gguf", "GGUF....");
  refused(f.dir / "m.gguf", "m.gguf: byte 4: ");
  test::write(f.dir / "gguf/m.gguf", "GGUF....");
  refused(f.dir / "gguf", "m.gguf: byte 4: ");
  test::write(f.dir / "pickle/config.json", "{}");
  test::write(f.dir / "pickle/pytorch_model.bin", "x");
  refused(f.dir / "pickle", "is a pickle");
  refused(f.source / "model.safetensors", "weights alone");
  test::write(f.source / "model.safetensors", test::safetensors(test::kOneTensor, 7));
  refused(f.source, "past the end of the data");
  test::write_model(f.dir / "bad name");
  refused(f.dir / "bad name", "cannot be a model's name");
}

TEST_CASE("a sharded model is imported whole or not at all") {
  const Fixture f;
  fs::rename(f.source / "model.safetensors", f.source / "model-00001-of-00001.safetensors");
  test::write(f.source / "model.safetensors.index.json",
              R"({"metadata":{"total_size":8},"weight_map":{"w":"model-00001-of-00001.safetensors"}})");
  CHECK(f.import().manifest.files.size() == 3);
  test::write(f.source / "model.safetensors.index.json", R"({"weight_map":{"w":"model-2.safetensors"}})");
  CHECK_THROWS_WITH_AS(f.import({.name = "b"}), doctest::Contains("the shard model-2.safetensors is missing"), Error);
  test::write(f.source / "model.safetensors.index.json", R"({"weight_map":{"w":"\u001b[2J.safetensors"}})");
  CHECK_THROWS_WITH_AS(f.import({.name = "c"}), doctest::Contains(R"(the shard \x1b[2J.safetensors is missing)"),
                       Error);
}

TEST_CASE("an index of any stem is checked against its shards") {
  const Fixture f;
  fs::rename(f.source / "model.safetensors", f.source / "diffusion-00001-of-00001.safetensors");
  const fs::path index = f.source / "diffusion.safetensors.index.json";
  test::write(index, R"({"weight_map":{"w":"diffusion-00001-of-00001.safetensors"}})");
  const auto result = f.import();
  CHECK(is_sound(f.tree));
  test::write(index, R"({"weight_map":{"v":"diffusion-00001-of-00001.safetensors"}})");
  CHECK_THROWS_WITH_AS(f.import({.name = "b"}),
                       doctest::Contains("tensor 'w' of diffusion-00001-of-00001.safetensors is not listed"), Error);
  // Also when a manifest says that the index is meant to be so.
  Manifest manifest = result.manifest;
  test::write(result.folder / "diffusion.safetensors.index.json", io::read_file(index));
  for (ManifestFile& file : manifest.files)
    if (file.path.ends_with(".json") && file.path != "config.json")
      file = {file.path, fs::file_size(index), io::to_hex(io::sha256_file(index))};
  test::write(result.folder / "manifest.json", manifest_text(manifest));
  const auto report = verify_models(f.tree, {}, no_progress());
  REQUIRE(report.faults() == 1);
  CHECK(report.models[0].faults[0].file == "diffusion.safetensors.index.json");
}

TEST_CASE("importing the same again tells a damaged byte of a large file, and a damaged table of digests") {
  const Fixture f;
  constexpr std::string_view kLarge = R"({"w":{"dtype":"U8","shape":[5242880],"data_offsets":[0,5242880]}})";
  test::write(f.source / "model.safetensors", test::safetensors(kLarge, 5 << 20));
  const ImportResult first = f.import();
  CHECK(f.import({.threads = 2}).action == ImportAction::none);
  const std::string weights = io::read_file(first.folder / "model.safetensors");
  std::string damaged = weights;
  damaged[3 << 20] ^= 1;
  test::write(first.folder / "model.safetensors", damaged);
  CHECK(f.import({.threads = 2}).action == ImportAction::repair);
  CHECK((io::read_file(first.folder / "model.safetensors") == weights));
  test::write(first.folder / "manifest.chunks", "x");
  CHECK(f.import({.threads = 2}).action == ImportAction::repair);
  CHECK(is_sound(f.tree));
  test::write(f.source / "model.safetensors", damaged);
  CHECK_THROWS_WITH_AS(f.import({.threads = 2}), doctest::Contains("holds another model"), Error);
}

TEST_CASE("an adapter is bound to its persona, once, and a binding that is missing is mended") {
  const Fixture f;
  fs::remove(f.source / "config.json");
  test::write(f.source / "adapter_config.json", "{}");
  const std::string before = "# ours\npersonas:\n  alice:\n    name: Alice  # she\n";
  test::write(f.tree.config("personas.yaml"), before);
  const auto text = [&] { return io::read_file(f.tree.config("personas.yaml")); };
  CHECK(f.import({.persona = "alice", .dry_run = true}).binds);
  CHECK(text() == before);
  const auto first = f.import({.persona = "alice"});
  CHECK(first.binds);
  CHECK(to_text(first).find("bound tiny to alice in personas.yaml\n") != std::string::npos);
  CHECK(text() == before + "    adapters: [tiny]\n");
  CHECK_FALSE(f.import({.persona = "alice"}).binds);
  f.import({.name = "second", .persona = "alice"});
  CHECK(text() == before + "    adapters: [tiny, second]\n");

  test::write(f.tree.config("personas.yaml"), before);
  const auto again = f.import({.persona = "alice"});
  CHECK(again.action == ImportAction::none);
  CHECK(again.binds);
  CHECK(to_text(again).starts_with("the same model is there; "));
  CHECK_FALSE(f.import().binds);
}

TEST_CASE("an adapter that is there is bound to one persona more, and changes hands by force") {
  const Fixture f;
  fs::remove(f.source / "config.json");
  test::write(f.source / "adapter_config.json", "{}");
  test::write(f.tree.config("personas.yaml"), "personas:\n  alice:\n  bob:\n");
  f.import({.persona = "alice"});
  const auto second = f.import({.persona = "bob"});
  CHECK(second.action == ImportAction::none);
  CHECK(to_text(second).find("bound tiny to bob in personas.yaml\n") != std::string::npos);
  CHECK(io::read_file(f.tree.config("personas.yaml")) ==
        "personas:\n  alice:\n    adapters: [tiny]\n  bob:\n    adapters: [tiny]\n");
  CHECK(find_model(f.tree, "tiny").manifest.persona == "alice");
  CHECK(f.import({.persona = "bob", .force = true}).action == ImportAction::replace);
  CHECK(find_model(f.tree, "tiny").manifest.persona == "bob");
  CHECK(f.import({.persona = "bob", .force = true}).action == ImportAction::none);
}

TEST_CASE("what cannot be edited is told before an adapter is copied, and one that cannot be bound then is there") {
  const Fixture f;
  fs::remove(f.source / "config.json");
  test::write(f.source / "adapter_config.json", "{}");
  test::write(f.tree.config("personas.yaml"), "personas:\n  alice: ~\n");
  for (const bool dry_run : {true, false}) {
    CHECK_THROWS_WITH_AS(f.import({.persona = "alice", .dry_run = dry_run}),
                         doctest::Contains("'tiny' cannot be added to personas.alice.adapters"), Error);
    CHECK_FALSE(fs::exists(f.tree.models("adapters") / "tiny"));
  }
  test::write(f.tree.config("personas.yaml"), "personas:\n  alice: {adapters: [tiny]}\n");  // by hand
  CHECK_FALSE(f.import({.persona = "alice"}).binds);
  const io::LockFile held(f.tree.root() / ".reef-init.lock");
  test::write(f.tree.config("personas.yaml"), "personas:\n  alice:\n");
  try {
    f.import({.name = "second", .persona = "alice"});
    FAIL("the lock was ignored");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::locked);
    CHECK(std::string_view(e.what()).find("second is imported, but not bound to alice: ") == 0);
  }
  CHECK(find_model(f.tree, "second").manifest.persona == "alice");
}

TEST_CASE("a manifest that came along must hold") {
  const Fixture f;
  const auto first = f.import();
  CHECK(f.import({.source = first.folder, .name = "copy"}).action == ImportAction::create);
  test::write(first.folder / "config.json", R"({"model_type":"bart","hidden_size":2,"max_position_embeddings":512})");
  CHECK_THROWS_WITH_AS(f.import({.source = first.folder, .name = "bad"}),
                       doctest::Contains("the manifest beside it says"), Error);
  CHECK_FALSE(fs::exists(f.tree.models("base") / "bad"));
  CHECK(f.leftovers().empty());
}

TEST_CASE("an interrupt leaves nothing") {
  const Fixture f;
  pending_signal = SIGINT;
  CHECK_THROWS_AS(f.import(), Error);
  pending_signal = 0;
  CHECK_FALSE(fs::exists(f.tree.models("base") / "tiny"));
  CHECK(f.leftovers().empty());
}

TEST_CASE("staged folders of killed runs are removed by the next") {
  const Fixture f;
  const fs::path stale = io::temporary_name(f.tree.models("base") / "tiny");
  test::write(stale / "model.safetensors", "half");
  f.import();
  CHECK_FALSE(fs::exists(stale));
}

TEST_CASE("two imports exclude each other") {
  const Fixture f;
  const io::LockFile held(f.tree.models() / ".lock");
  try {
    f.import();
    FAIL("the lock was ignored");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::locked);
  }
}

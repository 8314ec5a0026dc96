#include "reef/model/stream.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/internal/stream_plan.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

/// Layers against the order of the bytes; tensors that share chunks, that have none of their own, and one of several.
struct Tensor {
  std::string name;
  std::size_t bytes;
};
const std::vector<Tensor> kTensors = {{"h.10.w", 100},       {"h.2.a", 5 << 20}, {"h.2.b", 3 << 19}, {"h.0.w", 1 << 20},
                                      {"wte.weight", 12345}, {"empty", 0},       {"h.1.w", 1},       {"head", 3 << 20}};
const std::vector<std::string> kOrder = {"wte.weight", "h.0.w", "h.1.w", "h.2.a", "h.2.b", "h.10.w", "empty", "head"};

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");
  fs::path weights = tree.models("base") / "m/model.safetensors";
  std::map<std::string, std::string> content;
  std::size_t header_bytes = 0;

  Fixture() {
    fs::create_directories(tree.models());
    nlohmann::ordered_json header;
    std::size_t at = 0;
    for (const auto& [name, bytes] : kTensors) {
      header[name] = {{"dtype", "U8"}, {"shape", {bytes}}, {"data_offsets", {at, at + bytes}}};
      at += bytes;
    }
    std::string file = test::safetensors(header.dump(), 0);
    header_bytes = file.size();
    unsigned state = 1;
    for (std::size_t i = 0; i < at; ++i) file += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    at = header_bytes;
    for (const auto& [name, bytes] : kTensors) {
      content[name] = file.substr(at, bytes);
      at += bytes;
    }
    test::write(dir / "m/config.json", R"({"model_type":"test"})");
    test::write(dir / "m/model.safetensors", file);
    import_model(tree, tree::Config::load(tree), {.source = dir / "m"}, no_progress());
  }

  StreamResult stream(const fs::path& output) const {
    return stream_model(tree, {.name = "m", .output = output.string()}, no_progress());
  }
  void flip(std::size_t byte) const {
    std::string text = io::read_file(weights);
    text[byte] ^= 1;
    test::write(weights, text);
  }
};

}  // namespace

TEST_CASE("a stream holds every tensor in layer order, checked, and a last frame") {
  const Fixture f;
  const StreamResult result = f.stream(f.dir / "out");
  const std::string stream = io::read_file(f.dir / "out");
  CHECK(result.stream_bytes == stream.size());
  CHECK(result.items == kTensors.size());
  CHECK(result.unchecked_bytes == 0);

  std::map<std::uint32_t, std::string> tensors;
  nlohmann::json header, end;
  std::uint64_t frames = 0;
  std::uint32_t last = 0;
  for (std::size_t at = 0; at < stream.size(); ++frames) {
    REQUIRE(stream.size() - at >= sizeof(FrameBytes));
    REQUIRE(end.is_null());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(stream.data()) + at;
    const auto frame = decode_frame(std::span<const std::uint8_t, sizeof(FrameBytes)>(bytes, sizeof(FrameBytes)));
    REQUIRE(frame);
    at += sizeof(FrameBytes);
    const std::string_view payload = std::string_view(stream).substr(at, frame->length);
    REQUIRE(payload.size() == frame->length);
    CHECK(frame->xxh3 == io::xxh3({bytes + sizeof(FrameBytes), payload.size()}));
    at += payload.size();
    if (frame->type != FrameType::tensor) {
      CHECK((frame->type == (frames == 0 ? FrameType::header : FrameType::end)));
      (frames == 0 ? header : end) = nlohmann::json::parse(payload);
      continue;
    }
    CHECK(payload.size() <= kMaxFrameBytes);
    CHECK(frame->index >= last);
    last = frame->index;
    CHECK(frame->offset == tensors[frame->index].size());
    tensors[frame->index] += payload;
    const auto& entry = header["tensors"][frame->index];
    CHECK(frame->layer == (entry["layer"].is_null() ? kNoIndex : entry["layer"].get<std::uint32_t>()));
  }
  CHECK(frames == result.frames);
  CHECK(end["frames"] == frames - 2);
  CHECK(end["bytes"] == result.bytes);
  CHECK(header["schema"] == "reef.stream/1");
  CHECK(header["frames"] == frames - 2);
  REQUIRE(header["tensors"].size() == kOrder.size());
  REQUIRE(tensors.size() == kOrder.size());
  for (std::uint32_t i = 0; i < kOrder.size(); ++i) {
    CHECK(header["tensors"][i]["name"] == kOrder[i]);
    CHECK((tensors[i] == f.content.at(kOrder[i])));
  }
}

TEST_CASE("bytes stay what they are while the next ones are read into the same memory") {
  const test::TempDir dir;
  const auto tree = tree::Tree::at(dir / "root");
  fs::create_directories(tree.models());
  constexpr std::size_t kBytes = 60 << 20;  // more than all buffers together
  std::string file = test::safetensors(
      fmt::format(R"({{"w":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}}}})", kBytes, kBytes), 0);
  const std::size_t begin = file.size();
  file.resize(begin + kBytes);
  for (std::size_t at = 0; at < kBytes; at += 256) std::memcpy(file.data() + begin + at, &at, sizeof at);
  test::write(dir / "m/config.json", R"({"model_type":"test"})");
  test::write(dir / "m/model.safetensors", file);
  import_model(tree, tree::Config::load(tree), {.source = dir / "m"}, no_progress());
  for (const bool in_memory : {false, true}) {
    const fs::path weights = tree.models("base") / "m/model.safetensors";
    const io::UniqueFd fd = io::open_file(weights, O_RDONLY);
    io::sync_file(fd.get(), weights);
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    if (in_memory) CHECK((io::read_file(weights) == file));
    stream_model(tree, {.name = "m", .output = (dir / "out").string(), .force = true}, no_progress());
    const std::string stream = io::read_file(dir / "out");
    std::size_t checked = 0;
    for (std::size_t at = 0; at < stream.size();) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(stream.data()) + at;
      const auto frame = decode_frame(std::span<const std::uint8_t, sizeof(FrameBytes)>(bytes, sizeof(FrameBytes)));
      REQUIRE(frame);
      at += sizeof(FrameBytes);
      const auto payload = std::string_view(stream).substr(at, frame->length);
      at += payload.size();
      if (frame->type != FrameType::tensor) continue;
      CHECK((payload == std::string_view(file).substr(begin + frame->offset, payload.size())));
      checked += payload.size();
    }
    CHECK(checked == kBytes);
  }
}

TEST_CASE("neighbours share a piece, and no chunk is read whole twice") {
  const Fixture f;
  Installed model = find_model(f.tree, "m");
  for (const bool has_digests : {true, false}) {
    if (!has_digests) {
      for (ManifestFile& file : model.manifest.files) file.chunks_sha256.clear();
    }
    const auto plan = internal::plan_tensors(model);
    CHECK(plan.unchecked_bytes == (has_digests ? 0 : plan.bytes));
    std::map<std::size_t, int> whole;
    std::uint64_t read = 0;
    for (std::size_t i = 0; i < plan.pieces.size(); ++i) {
      const auto& [piece, of] = std::tie(plan.pieces[i], plan.of_piece[i]);
      read += piece.bytes;
      CHECK(piece.offset % io::DirectFile::kSector == 0);
      CHECK(piece.bytes <= io::kPieceBytes);
      CHECK(whole[of.chunk] == (has_digests && !of.is_checked ? 1 : 0));
      if (of.is_checked) ++whole[of.chunk];
      if (i > 0 && of.chunk == plan.of_piece[i - 1].chunk) CHECK(piece.offset < plan.pieces[i - 1].offset);
    }
    // Every chunk holds a tensor's bytes.
    if (has_digests) CHECK(whole.size() == chunk_count(fs::file_size(f.weights)));
    if (!has_digests) CHECK(read <= plan.bytes + plan.pieces.size() * 2 * io::DirectFile::kSector);
    for (std::size_t i = 1; i < plan.frames.size(); ++i) {
      if (plan.frames[i].length > 0) CHECK(plan.frames[i].piece >= plan.frames[i - 1].piece);
    }
  }
}

TEST_CASE("damage ends a stream naming the chunk, and leaves no file") {
  const Fixture f;
  f.flip((5 << 20) + 17);
  CHECK_THROWS_WITH_AS(f.stream(f.dir / "out"), doctest::Contains("m: model.safetensors, chunk 2 (bytes 4194304-"),
                       Error);
  CHECK(!fs::exists(f.dir / "out"));
  f.flip((5 << 20) + 17);
  f.flip(12);
  CHECK_THROWS_AS(f.stream(f.dir / "out"), Error);  // in the header
  f.flip(12);
  fs::resize_file(f.weights, fs::file_size(f.weights) - 1);
  CHECK_THROWS_AS(f.stream(f.dir / "out"), Error);
  CHECK(std::distance(fs::directory_iterator(f.dir.path()), fs::directory_iterator()) == 2);  // root and m
}

TEST_CASE("a header that was changed into another sound one is found out") {
  const Fixture f;
  std::string file = io::read_file(f.weights);
  file.replace(file.find("h.10.w"), 6, "h.11.w");
  test::write(f.weights, file);
  CHECK_THROWS_WITH_AS(f.stream(f.dir / "out"), doctest::Contains("its header is not the one"), Error);
}

TEST_CASE("what is there is not replaced") {
  const Fixture f;
  test::write(f.dir / "out", "mine");
  CHECK_THROWS_WITH_AS(f.stream(f.dir / "out"), doctest::Contains("exists"), Error);
  CHECK(io::read_file(f.dir / "out") == "mine");
  for (const char* target :
       {"", "unix:", "tcp:", "tcp:host", "tcp:host:", "tcp::1", "tcp:::1:80", "shm:", "shm:a/b", "shm:.a", "/"})
    CHECK_THROWS_AS_MESSAGE(stream_model(f.tree, {.name = "m", .output = target}, no_progress()), Error, target);
}

#include "reef/model/extract.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/internal/element_type.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

/// Unaligned from its second tensor on; each byte of the data is its offset modulo 256.
constexpr std::string_view kHeader = R"({"flag":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                     R"("h.0.w":{"dtype":"I16","shape":[3,4,5],"data_offsets":[1,121]},)"
                                     R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[121,129]},)"
                                     R"("odd[0]":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[129,131]},)"
                                     R"("four":{"dtype":"F4","shape":[3,4],"data_offsets":[131,137]},)"
                                     R"("none":{"dtype":"F32","shape":[0,7],"data_offsets":[137,137]},)"
                                     R"("one":{"dtype":"F64","shape":[],"data_offsets":[137,145]},)"
                                     R"("wide":{"dtype":"U8","shape":[6,1048576],"data_offsets":[145,6291601]}})";
constexpr std::size_t kBytes = 6291601;
constexpr std::size_t kWide = 145;
constexpr std::size_t kRow = 1048576;

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() {
    fs::create_directories(tree.models());
    test::write(dir / "m/config.json", R"({"model_type":"bert"})");
    test::write(dir / "m/model.safetensors", test::safetensors(kHeader, kBytes));
    import_model(tree, tree::Config::load(tree), {.source = dir / "m"}, no_progress());
  }
  ExtractedTensor extract(const std::string& tensor, const char* file = "out.bin", bool force = true) const {
    return extract_tensor(tree, {"m", tensor, dir / file, force}, no_progress());
  }
  std::string raw(const std::string& tensor) const {
    extract(tensor);
    return io::read_file(dir / "out.bin");
  }
  std::string npy(const std::string& tensor) const {
    extract(tensor, "out.npy");
    return io::read_file(dir / "out.npy");
  }
};

std::string counting(std::size_t begin, std::size_t end) {
  std::string bytes;
  for (std::size_t i = begin; i < end; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::string refusal(const std::function<void()>& act, Errc code) {
  try {
    act();
  } catch (const Error& e) {
    CHECK(e.code() == code);
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("raw bytes of a tensor are those of the file, whole and in slices") {
  const Fixture f;
  CHECK(f.raw("h.0.w") == counting(1, 121));
  CHECK(f.raw("h.0.w[1]") == counting(41, 81));
  CHECK(f.raw("h.0.w[1,2]") == counting(61, 71));
  CHECK(f.raw("h.0.w[-1,-1,-1]") == counting(119, 121));
  CHECK(f.raw("h.0.w[:,0,1:3]") == counting(3, 7) + counting(43, 47) + counting(83, 87));
  CHECK(f.raw("h.0.w[1:,1:3]") == counting(51, 71) + counting(91, 111));
  CHECK(f.raw("h.0.w[2:1]").empty());
  CHECK(f.raw("none").empty());
  CHECK(f.raw("none[:,3]").empty());
  CHECK(f.raw("one") == counting(137, 145));
  CHECK(f.raw("odd[0]") == counting(129, 131));
  CHECK(f.raw("odd[0][1]") == counting(130, 131));
}

TEST_CASE("a slice over several pieces of a file holds every byte") {
  const Fixture f;
  CHECK(f.raw("wide") == counting(kWide, kBytes));
  std::string columns;
  for (std::size_t row = 0; row < 6; ++row)
    columns += counting(kWide + row * kRow + 1000, kWide + row * kRow + 900'000);
  CHECK(f.raw("wide[:,1000:900000]") == columns);
  // One column after another, far apart and near each other.
  CHECK(f.raw("wide[1:4,77]") == counting(kWide + kRow + 77, kWide + kRow + 78) +
                                     counting(kWide + 2 * kRow + 77, kWide + 2 * kRow + 78) +
                                     counting(kWide + 3 * kRow + 77, kWide + 3 * kRow + 78));
}

TEST_CASE("only what a slice needs is read") {
  const Fixture f;
  CHECK(f.extract("wide[3,4096:5000]").bytes_read <= 8192);
  CHECK(f.extract("wide[2]").bytes_read <= kRow + 8192);
  CHECK(f.extract("wide[:,0]").bytes_read <= 6 * 4096);
  CHECK(f.extract("wide[0:0]").bytes_read == 0);
  CHECK(f.extract("wide").bytes_written == 6 * kRow);
}

TEST_CASE("a .npy file says type and shape, and its data begins at a multiple of 64") {
  const Fixture f;
  const auto header = [](const std::string& npy) {
    REQUIRE(npy.substr(0, 8) == std::string("\x93NUMPY\1\0", 8));
    const std::size_t length = static_cast<unsigned char>(npy[8]) | static_cast<std::size_t>(npy[9]) << 8;
    CHECK((length + 10) % 64 == 0);
    CHECK(npy[9 + length] == '\n');
    return npy.substr(10, npy.find("  ", 60) - 10);
  };
  const std::string all = f.npy("h.0.w");
  CHECK(header(all) == "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4, 5), }");
  CHECK(all.substr(all.size() - 120) == counting(1, 121));
  CHECK(header(f.npy("h.0.w[0,1]")).ends_with("'shape': (5,), }"));
  CHECK(header(f.npy("one")) == "{'descr': '<f8', 'fortran_order': False, 'shape': (), }");
  CHECK(header(f.npy("none[:,1:3]")).ends_with("'shape': (0, 2), }"));
  CHECK(header(f.npy("odd[0]")).starts_with("{'descr': '|u1'"));
}

TEST_CASE("BF16 becomes float32 in .npy, F8 its bytes, and the report says so") {
  const Fixture f;
  const auto report = f.extract("b[1]", "b.npy");
  CHECK(report.conversion == "float32");
  CHECK(report.npy_type == "<f4");
  CHECK(report.bytes_written == 8);
  const std::string npy = io::read_file(f.dir / "b.npy");
  const std::string zeros(2, '\0');
  CHECK(npy.substr(npy.size() - 8) == zeros + counting(125, 127) + zeros + counting(127, 129));
  CHECK(to_text(report).find("BF16 2 as float32 (exact), 8 B") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(report))["converted_to"] == "float32");
  const auto bytes = f.extract("odd[0]", "f8.npy");
  CHECK(to_text(bytes).find("F8_E4M3 2 as uint8, the bytes as they are") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(f.extract("one")))["converted_to"].is_null());
}

TEST_CASE("elements that share bytes are not cut, and have no type in .npy") {
  const Fixture f;
  CHECK(f.raw("four") == counting(131, 137));
  CHECK(f.raw("four[1]") == counting(133, 135));
  CHECK(f.raw("four[:,2:]") == counting(132, 133) + counting(134, 135) + counting(136, 137));
  CHECK(refusal([&] { f.raw("four[:,1:3]"); }, Errc::usage) ==
        "four: elements of type F4 share bytes, and the slice cuts through some");
  CHECK(refusal([&] { f.raw("four[0,0]"); }, Errc::usage).find("share bytes") != std::string::npos);
  CHECK(refusal([&] { f.npy("four"); }, Errc::usage) == "four: .npy has no type for F4");
}

TEST_CASE("outputs and tensors that cannot be are refused, and nothing is left behind") {
  const Fixture f;
  CHECK(refusal([&] { f.extract("h.0.v"); }, Errc::not_found) == "m has no tensor 'h.0.v', did you mean 'h.0.w'?");
  CHECK(refusal([&] { f.extract("h.0.v[0]"); }, Errc::not_found) == "m has no tensor 'h.0.v', did you mean 'h.0.w'?");
  CHECK(refusal([&] { f.extract("h.0.w[7]"); }, Errc::usage).find("character 2") != std::string::npos);
  CHECK(refusal([&] { f.extract("b", "absent/b.npy"); }, Errc::usage).find("there is no folder") == 0);
  CHECK(refusal([&] { f.extract("b", "m"); }, Errc::usage).find("is no regular file") != std::string::npos);
  CHECK_FALSE(fs::exists(f.dir / "out.bin"));
  f.extract("b");
  CHECK(refusal([&] { f.extract("one", "out.bin", false); }, Errc::usage).find("exists already") != std::string::npos);
  CHECK(io::read_file(f.dir / "out.bin") == counting(121, 129));
  f.extract("one");
  CHECK(io::read_file(f.dir / "out.bin") == counting(137, 145));
  for (const auto& entry : fs::directory_iterator(f.dir.path())) CHECK(entry.path().extension() != ".tmp");
}

TEST_CASE("a file that was cut after its manifest was written is named") {
  const Fixture f;
  const fs::path weights = f.tree.models("base") / "m/model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) - 1);
  CHECK(refusal([&] { f.extract("b"); }, Errc::corrupt).find("model.safetensors") != std::string::npos);
}

TEST_CASE("halves become the floats that they are") {
  using internal::from_bf16;
  using internal::from_f16;
  CHECK(from_f16(0x3C00) == 1.0F);
  CHECK(from_f16(0xC000) == -2.0F);
  CHECK(from_f16(0x7BFF) == 65504.0F);
  CHECK(from_f16(0x0001) == 0x1p-24F);
  CHECK(from_f16(0x83FF) == -1023 * 0x1p-24F);
  CHECK(from_f16(0x7C00) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(from_f16(0x7E01)));
  CHECK(from_bf16(0x3F80) == 1.0F);
  CHECK(from_bf16(0x0001) == 0x1p-133F);
}

namespace {

/// Puts a file under the target's name while it is written.
class Intruder : public Progress {
 public:
  explicit Intruder(fs::path path) : path_(std::move(path)) {}
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t) override { test::write(path_, "mine"); }
  void end() override {}

 private:
  fs::path path_;
};

}  // namespace

TEST_CASE("a file that came while a tensor was written is not replaced without force") {
  const Fixture f;
  const fs::path path = f.dir / "late.bin";
  Intruder intruder(path);
  const std::string message = refusal(
      [&] {
        extract_tensor(f.tree, {"m", "one", path, false}, intruder);
      },
      Errc::usage);
  CHECK(message.ends_with("late.bin exists already"));
  CHECK(io::read_file(path) == "mine");
  extract_tensor(f.tree, {"m", "one", path, true}, intruder);
  CHECK(io::read_file(path) == counting(137, 145));
}

TEST_CASE("what a killed run left beside the output goes with the next") {
  const Fixture f;
  const fs::path left = io::temporary_name(f.dir / "out.bin"), other = io::temporary_name(f.dir / "other.bin");
  test::write(left, "half");
  test::write(other, "half");
  f.raw("one");
  CHECK_FALSE(fs::exists(left));
  CHECK(fs::exists(other));
}

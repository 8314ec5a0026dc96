#include "reef/model/tpu_config.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;

namespace {

TpuConfig parse(std::string_view json) { return parse_tpu_config(json, "tpu_config.json"); }

void refuses(std::string_view json, const std::string& rule) {
  CHECK_THROWS_WITH_AS_MESSAGE(parse(json), doctest::Contains(rule.c_str()), Error, json);
}

}  // namespace

TEST_CASE("tpu_config.json is read with all its keys") {
  const TpuConfig config = parse(R"({
    "runtime_version": "14", "compiler_version": "16.0", "queue_size": 4, "unknown": [{"file": 1}],
    "layer_pattern": ["a_{}/", "b.{}"], "devices": [{"name": "usb:0", "sram_bytes": 100, "bus": 2}],
    "segments": [{"file": "sub/s0.tflite", "parameter_bytes": 6, "on_chip_bytes": 5, "off_chip_bytes": 1,
                  "caching_token": 18446744073709551615, "device": "usb:0"},
                 {"file": "s1.tflite", "caching_token": "abc", "sram_bytes": 7}],
    "inputs": [{"name": "ids", "dtype": "INT8", "shape": [1, 128],
                "quantization": {"scale": 7.8125e-3, "zero_point": -3}}],
    "outputs": [{"name": "out"}]})");
  CHECK(config.runtime_version == "14");
  CHECK(config.compiler_version == "16.0");
  CHECK(config.queue_size == 4);
  CHECK(config.layer_patterns == std::vector<std::string>{"a_{}/", "b.{}"});
  REQUIRE(config.segments.size() == 2);
  CHECK(config.segments[0].file == "sub/s0.tflite");
  CHECK(config.segments[0].parameter_bytes == 6);
  CHECK(config.segments[0].on_chip_bytes == 5);
  CHECK(config.segments[0].off_chip_bytes == 1);
  CHECK(config.segments[0].caching_token == "18446744073709551615");
  CHECK(config.segments[1].caching_token == "abc");
  CHECK(config.sram_of(config.segments[0]) == 100);
  CHECK(config.sram_of(config.segments[1]) == 7);
  CHECK(config.sram_of({.file = "s"}) == 8388608);
  REQUIRE(config.inputs.size() == 1);
  CHECK(config.inputs[0].shape == std::vector<std::uint64_t>{1, 128});
  REQUIRE(config.inputs[0].quantization);
  CHECK(config.inputs[0].quantization->scale == 0.0078125);
  CHECK(config.inputs[0].quantization->zero_point == -3);
  CHECK_FALSE(config.outputs.at(0).quantization);
  CHECK(parse(R"({"layer_pattern": "x{}"})").layer_patterns == std::vector<std::string>{"x{}"});
  CHECK(parse("{}").segments.empty());
}

TEST_CASE("a tpu_config.json that breaks a rule is refused, naming byte and rule") {
  refuses("", "byte 0");
  refuses("[]", "an object");
  refuses("{} x", "byte 3");
  refuses(R"({"queue_size": -1})", "byte 15");
  refuses(R"({"queue_size": 1.5})", "byte");
  refuses(R"({"queue_size": 1, "queue_size": 1})", "byte 18: the key 'queue_size' occurs twice");
  refuses(R"({"layer_pattern": "h.0"})", "byte 18: a layer pattern has one '{}'");
  refuses(R"({"layer_pattern": "{}{}"})", "one '{}'");
  refuses(R"({"layer_pattern": 1})", "a string");
  refuses(R"({"segments": {}})", "an array");
  refuses(R"({"segments": [{}]})", "byte 14: a segment without a file");
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "a//b", "./a", "", "a\\\\b", "a\\u0000b"})
    refuses(std::string(R"({"segments": [{"file": ")") + path + R"("}]})",
            "byte 23: a segment is a file in the model's");
  refuses(R"({"segments": [{"file": "a", "sha256": "9F"}]})", "64 lower-case hexadecimal digits");
  refuses(R"({"segments": [{"file": "a", "parameter_bytes": 18446744073709551616}]})", "byte");
  refuses(R"({"segments": [{"file": "a", "file": "b"}]})", "occurs twice");
  refuses(R"({"devices": [{"sram_bytes": 1}]})", "a device without a name");
  refuses(R"({"inputs": [{"shape": [-1]}]})", "a dimension");
  refuses(R"({"inputs": [{"quantization": {"zero_point": 1.5}}]})", "1.5 is not an integer");
  refuses(R"({"inputs": [{"quantization": {"scale": 1e999}}]})", "1e999 is not a finite number");
}

TEST_CASE("segments are compared with the disk and the memory of their devices") {
  const test::TempDir dir;
  test::write(dir / "s.tflite", std::string(100, 'x'));
  const auto check = [&](const std::string& keys) {
    return check_segments(dir.path(),
                          parse(R"({"devices": [{"name": "d", "sram_bytes": 99}], "segments": [{)" + keys + "}]}"))
        .at(0);
  };
  CHECK(check(R"("file": "s.tflite")").fault == SegmentFault::none);
  CHECK(check(R"("file": "s.tflite")").parameter_bytes == 100);
  CHECK(check(R"("file": "s.tflite", "device": "d")").fault == SegmentFault::too_large);
  CHECK(check(R"("file": "s.tflite", "device": "d", "parameter_bytes": 99)").fault == SegmentFault::none);
  CHECK(check(R"("file": "s.tflite", "device": "d", "on_chip_bytes": 90, "off_chip_bytes": 10)").fault ==
        SegmentFault::too_large);
  CHECK(check(R"("file": "s.tflite", "on_chip_bytes": 18446744073709551615, "off_chip_bytes": 2)").fault ==
        SegmentFault::too_large);
  CHECK(check(R"("file": "s.tflite", "parameter_bytes": 8388609)").fault == SegmentFault::too_large);
  CHECK(check(R"("file": "s.tflite", "parameter_bytes": 8388608)").fault == SegmentFault::none);
  CHECK(check(R"("file": "none.tflite")").fault == SegmentFault::missing);
}

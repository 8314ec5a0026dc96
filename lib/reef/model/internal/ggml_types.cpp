#include "reef/model/internal/ggml_types.h"

#include <array>

#include "reef/model/gguf.h"

namespace reef::model {
namespace {

constexpr std::uint32_t kRemoved = 0;

/// Sources: enum ggml_type of ggml/include/ggml.h, the structs of ggml/src/ggml-common.h.
constexpr std::array<internal::GgmlTypeRow, 43> kTypes{{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"Q4_0", 32, 2 + 16},
    {"Q4_1", 32, 2 + 2 + 16},
    {"Q4_2", kRemoved, 0},
    {"Q4_3", kRemoved, 0},
    {"Q5_0", 32, 2 + 4 + 16},
    {"Q5_1", 32, 2 + 2 + 4 + 16},
    {"Q8_0", 32, 2 + 32},
    {"Q8_1", 32, 2 + 2 + 32},
    {"Q2_K", 256, 2 + 2 + 16 + 64},
    {"Q3_K", 256, 2 + 64 + 32 + 12},
    {"Q4_K", 256, 2 + 2 + 12 + 128},
    {"Q5_K", 256, 2 + 2 + 12 + 128 + 32},
    {"Q6_K", 256, 2 + 128 + 64 + 16},
    {"Q8_K", 256, 4 + 256 + 32},
    {"IQ2_XXS", 256, 2 + 64},
    {"IQ2_XS", 256, 2 + 64 + 8},
    {"IQ3_XXS", 256, 2 + 64 + 32},
    {"IQ1_S", 256, 2 + 32 + 16},
    {"IQ4_NL", 32, 2 + 16},
    {"IQ3_S", 256, 2 + 64 + 8 + 32 + 4},
    {"IQ2_S", 256, 2 + 64 + 8 + 8},
    {"IQ4_XS", 256, 2 + 2 + 4 + 128},
    {"I8", 1, 1},
    {"I16", 1, 2},
    {"I32", 1, 4},
    {"I64", 1, 8},
    {"F64", 1, 8},
    {"IQ1_M", 256, 32 + 16 + 8},
    {"BF16", 1, 2},
    {"Q4_0_4_4", kRemoved, 0},
    {"Q4_0_4_8", kRemoved, 0},
    {"Q4_0_8_8", kRemoved, 0},
    {"TQ1_0", 256, 2 + 4 + 48},
    {"TQ2_0", 256, 2 + 64},
    {"IQ4_NL_4_4", kRemoved, 0},
    {"IQ4_NL_4_8", kRemoved, 0},
    {"IQ4_NL_8_8", kRemoved, 0},
    {"MXFP4", 32, 1 + 16},
    {"NVFP4", 64, 4 + 32},
    {"Q1_0", 128, 2 + 16},
    {"Q2_0", 64, 2 + 16},
}};

}  // namespace

std::span<const internal::GgmlTypeRow> internal::ggml_types() { return kTypes; }

std::string_view ggml_type_name(GgmlType type) { return kTypes[static_cast<std::size_t>(type)].name; }

GgmlBlock ggml_block(GgmlType type) {
  const internal::GgmlTypeRow& row = kTypes[static_cast<std::size_t>(type)];
  return {row.block_elements, row.block_bytes};
}

}  // namespace reef::model

#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace reef::test {

/// A safetensors file: `json` under its length, then `data_bytes` bytes that count up.
inline std::string safetensors(std::string_view json, std::size_t data_bytes) {
  std::string file;
  for (unsigned shift = 0; shift < 64; shift += 8) file += static_cast<char>(json.size() >> shift & 0xFF);
  file += json;
  for (std::size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

inline void write(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline constexpr std::string_view kOneTensor = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

/// The smallest folder that is a model.
inline void write_model(const std::filesystem::path& folder) {
  write(folder / "config.json", R"({"model_type":"bert","hidden_size":2,"max_position_embeddings":512})");
  write(folder / "model.safetensors", safetensors(kOneTensor, 8));
}

}  // namespace reef::test

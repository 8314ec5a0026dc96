#include "reef/model/internal/gguf_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/gguf.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".gguf";

/// What the parts of one model have in common.
std::string stem_of(const std::string& name) {
  const auto part = GgufPartName::parse(name);
  return part ? part->stem : name.substr(0, name.size() - kExtension.size());
}

/// A vision or audio encoder that programs load beside a model.
bool is_projector(const std::string& name) { return name.starts_with("mmproj"); }

bool is_quantized(const GgufHeader& header) {
  return std::any_of(header.tensors.begin(), header.tensors.end(),
                     [](const GgufTensor& tensor) { return ggml_block(tensor.type).elements > 1; });
}

void take_from_header(Source& source, const fs::path& file) {
  const GgufFile gguf(file);
  source.kind = is_quantized(gguf.header()) ? Kind::quantized : Kind::base;
  if (const GgufValue* type = gguf.header().value("general.type"); type != nullptr && type->as_string() != nullptr) {
    if (*type->as_string() == "adapter") source.kind = Kind::adapter;
  }
  if (!source.licence.empty()) return;
  const GgufValue* licence = gguf.header().value("general.license");
  if (licence != nullptr && licence->as_string() != nullptr) source.licence = *licence->as_string();
}

}  // namespace

Source open_gguf(const fs::path& path) {
  const std::string name = path.filename();
  Source source;
  source.folder = fs::absolute(path).lexically_normal().parent_path();
  source.name = stem_of(name);
  source.origin = fmt::format("{}/{}", origin_of(source.folder), name);
  if (!name.ends_with(kExtension))
    throw Error(Errc::usage, fmt::format("{} is a GGUF file under another name", io::shown(path)),
                fmt::format("link or copy it to a name that ends in {}", kExtension));
  auto part = GgufPartName::parse(name);
  const std::uint64_t count = part ? part->count : 1;
  for (std::uint64_t number = 1; number <= count; ++number) {
    if (part) part->number = number;
    const std::string file = part ? part->to_string() : name;
    const fs::path from = source.folder / file;
    if (!fs::is_regular_file(from))
      throw Error(Errc::usage, fmt::format("{} is one of {} parts, and {} is missing", io::shown(path), count, file),
                  "put all parts into one folder");
    source.files.push_back({from, file, fs::file_size(from)});
  }
  take_from_header(source, source.files.front().from);
  return source;
}

void complete_gguf_folder(Source& source) {
  std::set<std::string> stems;
  const SourceFile* first = nullptr;
  for (const SourceFile& file : source.files) {
    if (!file.path.ends_with(kExtension) || is_projector(file.path)) continue;
    stems.insert(stem_of(file.path));
    if (first == nullptr) first = &file;
  }
  if (stems.size() > 1)
    throw Error(Errc::usage, fmt::format("{} holds {} GGUF models", io::shown(source.folder), stems.size()),
                fmt::format("name the file of one of them: {}", fmt::join(stems, ", ")));
  if (first == nullptr)
    throw Error(Errc::usage, fmt::format("{} holds projectors alone", io::shown(source.folder)),
                "put them beside their model");
  take_from_header(source, first->from);
}

}  // namespace reef::model::internal

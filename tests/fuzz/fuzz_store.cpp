// The files of a small store, whatever bytes they hold: opened, searched, verified, or refused with Error{corrupt}.
//
// An input is two lengths of 16 bits (vectors.1.npy, index.2.bin), those files, and config.json.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/vector/store.h"

namespace {

using namespace reef;
constexpr std::uint64_t kRows = 12;
constexpr std::size_t kDim = 4;

void require(bool truth) {
  if (!truth) std::abort();
}

/// A folder in memory with a commit point that never changes: what is attacked are the files that it names.
class Folder {
 public:
  Folder() : path_(make()), metadata_(path_ / "metadata.sqlite", io::OpenMode::create) {
    configure_log("fuzz_store", Verbosity::quiet);
    metadata_.execute(std::string(vector::kStoreSchema) + vector::kIndexSchema);
    metadata_.execute(
        "UPDATE store SET generation = 2, vectors_file = 'vectors.1.npy', codes_file = 'codes.1.npy', rows_total = 12, "
        "dim = 4, model = 'mini', index_file = 'index.2.bin', rows_indexed = 12");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  void put(const char* name, const std::uint8_t* data, std::size_t size) const {
    io::UniqueFd file = io::open_file(path_ / name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    io::write_all(file.get(), std::string(reinterpret_cast<const char*>(data), size), path_ / name);
  }
  const std::filesystem::path& path() const { return path_; }
  io::Database& metadata() { return metadata_; }

 private:
  static std::filesystem::path make() {
    std::string name = (std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/fuzz_store.XXXXXX");
    require(::mkdtemp(name.data()) != nullptr);
    return name;
  }
  std::filesystem::path path_;
  io::Database metadata_;
};

template <typename Work>
void attempt(const Work& work) {
  try {
    work();
  } catch (const Error& e) {
    require(e.code() == Errc::corrupt);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Folder folder;
  if (size < 4) return 0;
  const std::size_t rest = size - 4;
  const std::size_t vectors = std::min<std::size_t>(rest, data[0] | data[1] << 8);
  const std::size_t index = std::min<std::size_t>(rest - vectors, data[2] | data[3] << 8);
  folder.put("vectors.1.npy", data + 4, vectors);
  folder.put("index.2.bin", data + 4 + vectors, index);
  folder.put("config.json", data + 4 + vectors + index, rest - vectors - index);
  vector::hinted_model(folder.path());
  attempt([&] {
    vector::StoreReader reader(folder.path(), folder.metadata());
    const std::vector<std::uint64_t> only{1, 3, 5, 7, 9, 11};
    for (const bool filtered : {false, true}) {
      const auto hits = reader.search(std::vector<float>{.5F, -.5F, .5F, .5F}, 5,
                                      {.only = filtered ? &only : nullptr, .always_index = true});
      require(hits.size() <= 5);
      for (const vector::Hit& hit : hits) require(hit.row < kRows && (!filtered || hit.row % 2 == 1));
    }
  });
  attempt([&] { vector::verify_store(folder.path(), folder.metadata()); });
  return 0;
}

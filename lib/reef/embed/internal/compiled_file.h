#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "reef/embed/internal/network.h"
#include "reef/io/checksum.h"
#include "reef/io/mapped_file.h"

namespace reef::embed::internal {

/// Version of the layout below and of the arithmetic: part of a compiled file's name and of the
/// digest that identifies vectors. Raise it when either changes.
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kLine = 64;
inline constexpr std::size_t kPage = 4096;

/// A compiled encoder: the header, then sections that each begin at a line.
///
///     header | vocabulary | first norm | layers in the order of use | position rows | word rows
///
/// A layer is four matrices (weights, scale, bias, sums) and two norms. What every question reads
/// in full lies in front, in one range; of the rows behind it a question touches a dozen, so those
/// begin at a page of their own. Nothing is parsed at open: the numbers of the header give the
/// place of every section. Little-endian, as the machines that this runs on.
struct FileHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t layers;
  std::uint32_t hidden;
  std::uint32_t heads;
  std::uint32_t ffn;
  std::uint32_t words;
  std::uint32_t positions;
  float epsilon;
  std::uint64_t vocabulary_bytes;
  std::uint64_t front_bytes;  ///< end of what every question reads
  std::uint64_t file_bytes;
  std::uint64_t payload_xxh3;  ///< of everything behind the header: for verify_compiled()
  io::Sha256Digest weights_sha256;
  io::Sha256Digest vocabulary_sha256;
  std::uint64_t header_xxh3;  ///< of the fields above: checked at every open
};
inline constexpr std::size_t kHeaderBytes = 192;
inline constexpr std::array<char, 8> kMagic = {'R', 'E', 'E', 'F', 'E', 'N', 'C', '\n'};
static_assert(sizeof(FileHeader) <= kHeaderBytes && kHeaderBytes % kLine == 0);

/// The header's own checksum.
std::uint64_t header_checksum(const FileHeader& header);

/// A mapped compiled file, every place in it checked against the file's size.
class CompiledFile {
 public:
  /// Throws Error{not_found} when there is no such file, Error{corrupt} naming the rule when it is
  /// damaged or of another version.
  explicit CompiledFile(const std::filesystem::path& path);

  const FileHeader& header() const { return header_; }
  /// With mean pooling; the caller knows the model's own.
  const Network& network() const { return network_; }
  std::span<const std::uint8_t> vocabulary() const { return vocabulary_; }
  /// Reads everything and compares it with the checksum.
  bool payload_is_intact() const;

  /// Starts reading what a text of these tokens needs, without waiting: from a cold disk the few
  /// scattered rows first, then the layers, while the first of them is already computed.
  void read_ahead(const Tokens& tokens) const;
  /// Starts reading all that every text needs.
  void read_ahead() const;

 private:
  void find_sections();

  io::MappedFile map_;
  FileHeader header_{};
  std::span<const std::uint8_t> vocabulary_;
  Network network_;
};

}  // namespace reef::embed::internal

#include "reef/backup/internal/pack_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "reef/backup/internal/block_codec.h"
#include "reef/backup/internal/bytes.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::string_view kMagic = "REEFPACK";
constexpr std::string_view kPageMagic = "RFIX";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPageHeaderBytes = 32;
constexpr std::size_t kRowBytes = 64;
constexpr std::size_t kSumOffset = kPageBytes - sizeof(std::uint64_t);
static_assert(kPageHeaderBytes + kPageRows * kRowBytes + 24 == kSumOffset);
constexpr const char* kHint = "run 'reef-backup verify', then the next backup stores anew what the source still has";
/// Pages at the end of a pack that are looked at for one that is whole.
constexpr std::uint64_t kPagesTried = 4096;

std::string_view view_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<const std::uint8_t> span_of(std::string_view bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::uint64_t align(std::uint64_t offset) { return (offset + kPageBytes - 1) / kPageBytes * kPageBytes; }
std::uint64_t pages_for(std::uint64_t blocks) {
  return std::max<std::uint64_t>(1, (blocks + kPageRows - 1) / kPageRows);
}

void write_row(ByteWriter& out, const StoredBlock& block) {
  out.raw(block.name);
  out.u64(block.hash);
  out.u64(block.offset);
  out.u32(block.stored);
  out.u32(block.bytes);
  out.u32(block.stored_sum);
  out.u32(static_cast<std::uint32_t>(block.codec));
}

StoredBlock read_row(ByteReader& in) {
  StoredBlock block;
  in.raw(block.name);
  block.hash = in.u64();
  block.offset = in.u64();
  block.stored = in.u32();
  block.bytes = in.u32();
  block.stored_sum = in.u32();
  block.codec = static_cast<Codec>(in.u32());
  return block;
}

struct PageHeader {
  std::uint32_t pack, page, pages, rows, zero;
  std::uint64_t data_end;
};

/// nullopt unless the page is whole and can be one of that pack.
std::optional<PageHeader> header_of(std::span<const std::uint8_t> page, std::uint32_t pack) {
  const std::string_view bytes = view_of(page);
  if (!bytes.starts_with(kPageMagic)) return std::nullopt;
  ByteReader sum(bytes.substr(kSumOffset), "");
  if (io::xxh3(page.first(kSumOffset)) != sum.u64()) return std::nullopt;
  ByteReader in(bytes.substr(kPageMagic.size()), "");
  PageHeader header{};
  header.pack = in.u32();
  header.page = in.u32();
  header.pages = in.u32();
  header.rows = in.u32();
  header.zero = in.u32();
  header.data_end = in.u64();
  const bool last = header.page + 1 == header.pages;
  const bool fits = header.pack == pack && header.page < header.pages && header.rows <= kPageRows &&
                    (last || header.rows == kPageRows) && header.pages <= pages_for(kMostPackBlocks);
  if (!fits) return std::nullopt;
  return header;
}

}  // namespace

std::uint64_t pack_index_bytes(std::uint64_t blocks, std::uint64_t data_end) {
  return align(data_end) - data_end + pages_for(blocks) * kPageBytes;
}

std::string pack_header(std::uint32_t pack) {
  ByteWriter out;
  out.raw(kMagic);
  out.u32(kVersion);
  out.u32(pack);
  return out.take();
}

std::string pack_index(std::uint32_t pack, std::span<const StoredBlock> blocks, std::uint64_t data_end) {
  std::string all(align(data_end) - data_end, '\0');
  const auto pages = static_cast<std::uint32_t>(pages_for(blocks.size()));
  for (std::uint32_t number = 0; number < pages; ++number) {
    const auto rows = blocks.subspan(std::min(blocks.size(), std::size_t{number} * kPageRows));
    const std::size_t count = std::min(rows.size(), kPageRows);
    ByteWriter page;
    page.raw(kPageMagic);
    page.u32(pack);
    page.u32(number);
    page.u32(pages);
    page.u32(static_cast<std::uint32_t>(count));
    page.u32(0);
    page.u64(data_end);
    for (const StoredBlock& block : rows.first(count)) write_row(page, block);
    page.raw(std::string(kSumOffset - page.size(), '\0'));
    page.u64(io::xxh3(span_of(page.bytes())));
    all += page.bytes();
  }
  return all;
}

PackFile::PackFile(const fs::path& path, std::uint32_t number, std::string shown)
    : path_(path), number_(number), shown_(std::move(shown)) {
  try {
    fd_ = io::open_file(path_, O_RDONLY);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::corrupt, fmt::format("the pack {} is missing", io::shown(path_)), kHint);
  }
  size_ = io::file_size(fd_.get(), path_);
  if (!find_index()) fail("has no index: it is damaged or cut short");
}

bool PackFile::find_index() {
  std::array<std::uint8_t, kPageBytes> page{};
  const std::uint64_t pages = size_ / kPageBytes;
  for (std::uint64_t back = 1; back <= std::min(pages, kPagesTried); ++back) {
    const std::uint64_t offset = (pages - back) * kPageBytes;
    io::pread_exact(fd_.get(), page.data(), page.size(), offset, path_);
    const std::optional<PageHeader> header = header_of(page, number_);
    if (!header || header->page * std::uint64_t{kPageBytes} > offset) continue;
    index_start_ = offset - header->page * std::uint64_t{kPageBytes};
    if (header->data_end < kPackHeaderBytes || align(header->data_end) != index_start_) continue;
    data_end_ = header->data_end;
    pages_ = header->pages;
    // Of a last page that is damaged, the rows are not known: as many as there can be.
    const bool last = header->page + 1 == header->pages;
    blocks_ = static_cast<std::uint32_t>((header->pages - 1) * kPageRows + (last ? header->rows : kPageRows));
    return true;
  }
  return false;
}

void PackFile::fail(const std::string& what) const {
  throw Error(Errc::corrupt, fmt::format("{} {}", io::shown(path_), what), kHint);
}

bool PackFile::read_page(std::uint64_t offset, std::span<std::uint8_t> page) const {
  if (offset + page.size() > size_) return false;
  io::pread_exact(fd_.get(), page.data(), page.size(), offset, path_);
  return true;
}

void PackFile::rows(std::uint32_t first, std::span<StoredBlock> into) const {
  if (into.empty()) return;
  if (first > blocks_ || into.size() > blocks_ - first)
    fail(fmt::format("has {} blocks, no number {}", blocks_, first));
  const std::size_t begin = first / kPageRows;
  const std::size_t end = (first + into.size() - 1) / kPageRows + 1;
  std::vector<std::uint8_t> pages((end - begin) * kPageBytes);
  if (!read_page(index_start_ + begin * kPageBytes, pages)) fail("is cut short: a part of its index is missing");
  std::size_t done = 0;
  for (std::size_t number = begin; number < end; ++number) {
    const auto page = std::span<const std::uint8_t>(pages).subspan((number - begin) * kPageBytes, kPageBytes);
    const std::optional<PageHeader> header = header_of(page, number_);
    const std::size_t from = number == begin ? first % kPageRows : 0;
    const std::size_t count = std::min(kPageRows - from, into.size() - done);
    if (!header || header->page != number || header->pages != pages_ || header->rows < from + count) {
      fail(fmt::format("is damaged in page {} of its index", number));
    }
    ByteReader in(view_of(page.subspan(kPageHeaderBytes + from * kRowBytes)), shown_);
    for (std::size_t i = 0; i < count; ++i) {
      const StoredBlock block = read_row(in);
      if (!block.is_dropped() && (block.offset < kPackHeaderBytes || block.offset > data_end_ ||
                                  block.stored > data_end_ - block.offset || block.bytes > kMostBlockBytes)) {
        fail(fmt::format("tells in its index of a block {} where there can be none", first + done));
      }
      into[done++] = block;
    }
  }
}

void PackFile::read_stored(std::uint64_t offset, std::span<std::uint8_t> into) const {
  io::pread_exact(fd_.get(), into.data(), into.size(), offset, path_);
}

void PackFile::read_blocks(std::uint32_t first, std::span<const StoredBlock> blocks,
                           std::span<std::uint8_t> into) const {
  const auto bad = [&](std::size_t i) {
    fail(fmt::format("is damaged in block {} (bytes {} to {})", first + i, blocks[i].offset, blocks[i].end()));
  };
  std::vector<std::uint8_t> packed;
  for (std::size_t begin = 0; begin < blocks.size();) {
    // Neighbours by number lie beside each other, but where two threads stored them, or one was dropped.
    std::size_t end = begin + 1;
    std::size_t bytes = blocks[begin].bytes;
    bool raw = blocks[begin].codec == Codec::raw;
    for (; end < blocks.size() && blocks[end].offset == blocks[end - 1].end(); ++end) {
      bytes += blocks[end].bytes;
      raw = raw && blocks[end].codec == Codec::raw;
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (blocks[i].is_dropped()) fail(fmt::format("has no block {} any more", first + i));
    }
    if (bytes > into.size()) fail(fmt::format("has other blocks than a file of that size at number {}", first + begin));
    const std::uint64_t stored = blocks[end - 1].end() - blocks[begin].offset;
    const auto target = into.first(bytes);
    const auto part = blocks.subspan(begin, end - begin);
    const auto bad_of_part = [&](std::size_t i) { bad(begin + i); };
    if (raw && stored == bytes) {
      read_stored(blocks[begin].offset, target);
      decode_blocks(part, target, target, bad_of_part);
    } else {
      packed.resize(stored);
      read_stored(blocks[begin].offset, packed);
      decode_blocks(part, packed, target, bad_of_part);
    }
    into = into.subspan(bytes);
    begin = end;
  }
}

void PackFile::check_structure(
    const std::function<void(const std::string& what, std::uint32_t first, std::uint32_t count)>& fault) const {
  std::array<std::uint8_t, kPackHeaderBytes> header{};
  if (!read_page(0, header) || view_of(header) != pack_header(number_)) fault("its header is damaged", 0, 0);
  const std::uint64_t expected = index_start_ + std::uint64_t{pages_} * kPageBytes;
  if (size_ != expected) fault(fmt::format("it has {} bytes and not {}", size_, expected), 0, 0);
  std::vector<std::uint8_t> page(index_start_ - data_end_);
  if (!page.empty() && (!read_page(data_end_, page) || !is_zero(page)))
    fault(fmt::format("bytes {} to {} are not zero", data_end_, index_start_), 0, 0);
  page.resize(kPageBytes);
  for (std::uint32_t number = 0; number < pages_; ++number) {
    const std::uint64_t offset = index_start_ + std::uint64_t{number} * kPageBytes;
    const std::optional<PageHeader> found = read_page(offset, page) ? header_of(page, number_) : std::nullopt;
    if (found && found->page == number && found->pages == pages_ && found->data_end == data_end_ && found->zero == 0)
      continue;
    const auto first = static_cast<std::uint32_t>(number * kPageRows);
    fault(fmt::format("page {} of its index is damaged (bytes {} to {})", number, offset, offset + kPageBytes), first,
          std::min<std::uint32_t>(kPageRows, blocks_ - first));
  }
}

std::string Packs::name_of(std::uint32_t number) { return fmt::format("packs/{:08}.pack", number); }

std::vector<std::uint32_t> Packs::numbers() const {
  std::vector<std::uint32_t> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder(), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::uint32_t number = 0;
    const auto [stop, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (failed == std::errc() && number > 0 && "packs/" + name == name_of(number)) found.push_back(number);
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error(Errc::failed, fmt::format("list {}: {}", io::shown(folder()), error.message()));
  std::sort(found.begin(), found.end());
  return found;
}

std::shared_ptr<const PackFile> Packs::find(std::uint32_t number) {
  if (const auto found = unfinished_.find(number); found != unfinished_.end()) return found->second;
  const auto found = open_.find(number);
  if (found == open_.end()) return nullptr;
  used_.splice(used_.begin(), used_, found->second.use);
  return found->second.pack;
}

void Packs::keep(std::shared_ptr<const PackFile> pack) {
  constexpr std::size_t kMostOpen = 256;
  const std::uint32_t number = pack->number();
  used_.push_front(number);
  open_[number] = {std::move(pack), used_.begin()};
  if (open_.size() <= kMostOpen) return;
  open_.erase(used_.back());
  used_.pop_back();
}

std::shared_ptr<const PackFile> Packs::get(std::uint32_t number) {
  {
    const std::lock_guard lock(mutex_);
    if (auto pack = find(number)) return pack;
  }
  auto pack = std::make_shared<const PackFile>(path_of(number), number, name_of(number));
  const std::lock_guard lock(mutex_);
  if (auto other = find(number)) return other;
  keep(pack);
  return pack;
}

void Packs::add(std::shared_ptr<const PackFile> pack) {
  const std::lock_guard lock(mutex_);
  unfinished_[pack->number()] = std::move(pack);
}

void Packs::forget(std::uint32_t number) {
  const std::lock_guard lock(mutex_);
  unfinished_.erase(number);
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  used_.erase(found->second.use);
  open_.erase(found);
}

std::string Packs::read_node(const NodeRef& node) {
  const std::shared_ptr<const PackFile> pack = get(node.at.pack);
  StoredBlock row;
  pack->rows(node.at.number, {&row, 1});
  if (row.name != node.name)
    throw Error(Errc::corrupt,
                fmt::format("{}: block {} is not the one that was stored", io::shown(pack->shown()), node.at.number),
                kHint);
  std::string bytes(row.bytes, '\0');
  pack->read_blocks(node.at.number, {&row, 1}, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

}  // namespace reef::backup::internal
